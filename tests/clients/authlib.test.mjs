// PyPI's Authlib against both hosts; the client itself is authlib_client.py.

import { onEachHostByProgram } from "./each_host.mjs";

const program = process.env.VEDETTE_PYTHON ?? "python3";
const client = new URL("authlib_client.py", import.meta.url).pathname;

onEachHostByProgram("Authlib", program, [client]);
