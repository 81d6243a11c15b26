// The openidconnect crate against both hosts; the client itself is in openidconnect/, and `cargo xtask test` builds it.

import { fileURLToPath } from "node:url";
import { onEachHostByProgram } from "./each_host.mjs";

const built = fileURLToPath(new URL("../../target/debug/openidconnect-client", import.meta.url));

onEachHostByProgram("the openidconnect crate", process.env.VEDETTE_OPENIDCONNECT_CLIENT ?? built, []);
