//! Requests that are wrong before anybody looks at what they say: size, method, address, content type, clock.

use serde_json::json;
use vedette::http::{BODY_LIMIT, Method};
use vedette::platform::UnixTime;

use crate::support::{Browser, Deployment};
use crate::{Scene, assert_unavailable};

/// Every endpoint with the methods that it answers to, as `Allow` names them.
const ENDPOINTS: [(&str, &str); 18] = [
    ("/", "GET, HEAD"),
    ("/.well-known/openid-configuration", "GET, HEAD, OPTIONS"),
    ("/.well-known/oauth-authorization-server", "GET, HEAD, OPTIONS"),
    ("/jwks", "GET, HEAD, OPTIONS"),
    ("/authorize", "GET, POST, HEAD"),
    ("/sign-in", "POST"),
    ("/consent", "POST"),
    ("/token", "POST, OPTIONS"),
    ("/userinfo", "GET, POST, HEAD, OPTIONS"),
    ("/revoke", "POST, OPTIONS"),
    ("/introspect", "POST, OPTIONS"),
    ("/end_session", "GET, POST, HEAD"),
    ("/register", "POST, OPTIONS"),
    ("/register/x", "GET, PUT, DELETE, HEAD, OPTIONS"),
    ("/health", "GET, HEAD"),
    ("/setup", "GET, POST, HEAD"),
    ("/assets/x", "GET, HEAD"),
    ("/admin/api/tenants", "GET, POST, PATCH, DELETE, HEAD"),
];

const PAGES: [&str; 6] = ["/", "/authorize", "/sign-in", "/consent", "/end_session", "/setup"];

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let deployment = Deployment::new();
    let all = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
        Method::Other,
    ];
    for (path, allow) in ENDPOINTS {
        let allowed: Vec<&str> = allow.split(", ").collect();
        for method in all {
            let answer = deployment.send(deployment.call(method, path));
            if allowed.contains(&method.as_str()) {
                assert_ne!(answer.status, 405, "{} {path}", method.as_str());
            } else {
                assert_eq!((answer.status, answer.header("allow")), (405, allow), "{} {path}", method.as_str());
            }
        }
    }
}

#[test]
fn where_nothing_is_no_method_helps() {
    let deployment = Deployment::new();
    for method in [Method::Get, Method::Post, Method::Put, Method::Delete, Method::Other] {
        for path in ["/nothing", "/login/x"] {
            assert_eq!(deployment.send(deployment.call(method, path)).status, 404, "{} {path}", method.as_str());
        }
    }
}

#[test]
fn head_says_what_get_says_without_a_body() {
    let deployment = Deployment::new();
    for path in ["/", "/.well-known/openid-configuration", "/jwks", "/authorize", "/health", "/nothing"] {
        let get = deployment.send(deployment.get(path));
        let head = deployment.send(deployment.call(Method::Head, path));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.response.body.is_empty(), "{path}");
    }
}

#[test]
fn a_body_over_64_kib_is_413_and_one_of_64_kib_is_read() {
    let deployment = Deployment::new();
    assert_eq!(BODY_LIMIT, 65_536);
    for (path, allow) in ENDPOINTS {
        let method = if allow.contains("POST") {
            Method::Post
        } else if allow.contains("PUT") {
            Method::Put
        } else {
            continue;
        };
        let with_body = |length: usize| {
            let call = deployment.call(method, path).body("application/x-www-form-urlencoded", &"x".repeat(length));
            deployment.send(call)
        };
        let large = with_body(BODY_LIMIT + 1);
        assert_eq!(large.status, 413, "{path}");
        let is_page = PAGES.contains(&path) && path != "/setup";
        let expected = if is_page { "text/html; charset=utf-8" } else { "application/json" };
        assert_eq!(large.header("content-type"), expected, "{path}");
        assert_ne!(with_body(BODY_LIMIT).status, 413, "{path}");
    }
}

#[test]
fn an_unknown_address_is_a_page_for_people_and_json_for_programs() {
    let deployment = Deployment::new();
    for path in [
        "/nothing",
        "/nothing/here",
        "/token/",
        "/token/x",
        "/.well-known/",
        "/.well-known/webfinger",
        "/assets/",
        "/assets/x",
        "/assets/../x",
        "/register/",
        "/register/x/y",
        "/admin",
        "/admin/x",
        "/account",
        "/sign-in/x",
        "/%",
        "/%00",
        "/é",
        "/health/x",
    ] {
        for method in [Method::Get, Method::Head] {
            let json = deployment.send(deployment.call(method, path).header("accept", "application/json"));
            assert_eq!((json.status, json.header("content-type")), (404, "application/json"), "{path}");
        }
        let page = deployment.send(deployment.get(path).for_a_page());
        // An asset is never a page.
        let is_asset = ["/assets/", "/assets/x"].contains(&path);
        let expected = if is_asset { "application/json" } else { "text/html; charset=utf-8" };
        assert_eq!((page.status, page.header("content-type")), (404, expected), "{path}");
    }
    let endless = deployment.send(deployment.get(&format!("/{}", "x/".repeat(10_000))));
    assert_eq!(endless.status, 404);
}

#[test]
fn a_target_that_is_no_path_is_nothing() {
    let deployment = Deployment::new();
    for path in ["", "*", "token", "https://id.example.com/token", "id.example.com:443"] {
        let mut call = deployment.get("/");
        call.0.path = path.to_owned();
        let status = deployment.send(call).status;
        assert_eq!(status, 404, "{path}");
    }
}

#[test]
fn the_wrong_content_type_is_415() {
    let deployment = Deployment::new();
    let forms = ["/authorize", "/sign-in", "/consent", "/token", "/revoke", "/introspect", "/end_session", "/setup"];
    for path in forms {
        for content_type in ["application/json", "text/plain", "", "application/x-www-form-urlencodedx", "x"] {
            let answer = deployment.send(deployment.post(path).body(content_type, "a=b"));
            assert_eq!(answer.status, 415, "{path} {content_type}");
        }
        // A parameter does not make it another one.
        let good = deployment.post(path).body("application/x-www-form-urlencoded;charset=UTF-8", "a=b");
        assert_ne!(deployment.send(good).status, 415, "{path}");
    }
    let form = deployment.post("/register").form(&[("redirect_uris", "https://rp.example/cb")]);
    assert_eq!(deployment.send(form).error(), (415, "invalid_request"));
    let users = deployment.manage(Method::Post, "/users").form(&[("username", "x")]);
    assert_eq!(deployment.send(users).error(), (415, "invalid_request"));
}

#[test]
fn bodies_that_are_not_text_are_refused() {
    let deployment = Deployment::new();
    for path in ["/token", "/sign-in", "/end_session", "/revoke"] {
        let mut call = deployment.post(path).form(&[]);
        call.0.body = vec![b'a', b'=', 0xff, 0xfe];
        assert_eq!(deployment.send(call).status, 400, "{path}");
    }
    let mut json = deployment.post("/register").json(&json!({}));
    json.0.body = vec![0xff, 0xfe];
    assert_eq!(deployment.send(json).error(), (400, "invalid_request"));
    // Deeper than anybody means.
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let answer = deployment.send(deployment.post("/register").body("application/json", &deep));
    assert_eq!(answer.error(), (400, "invalid_request"));
    let deep = format!("{{\"redirect_uris\":{deep}}}");
    let answer = deployment.send(deployment.post("/register").body("application/json", &deep));
    assert_eq!(answer.error(), (400, "invalid_request"));
    let claims = format!("{{\"userinfo\":{}}}", "{\"a\":".repeat(1000));
    let client = deployment.client();
    let answer = Browser::new(&deployment).ask(&client.ask().with("claims", &claims));
    assert_eq!(answer.query()["error"], "invalid_request");
}

#[test]
fn a_clock_that_is_not_set_serves_nobody() {
    let scene = Scene::new();
    let requests = scene.good_requests();
    for now in [0, 1_577_836_799, -1, i64::MIN] {
        scene.deployment.world.set_now(UnixTime(now));
        for (what, call) in &requests {
            assert_unavailable(&scene.deployment.send(call.clone()), what);
            assert_eq!(scene.deployment.last_log()["fault"], "the clock stands before 2020", "{what}");
        }
        let health = scene.deployment.send(scene.deployment.get("/health"));
        assert_eq!((health.status, &health.body["clock"]), (503, &json!("wrong")));
        // Neither needs a clock.
        assert_eq!(scene.deployment.send(scene.deployment.get("/token")).status, 405);
    }
}

#[test]
fn a_clock_far_ahead_panics_nobody() {
    let scene = Scene::new();
    let requests = scene.good_requests();
    for now in [4_000_000_000, i64::MAX - 1, i64::MAX] {
        scene.deployment.world.set_now(UnixTime(now));
        for (what, call) in &requests {
            let answer = scene.deployment.send(call.clone());
            assert!(answer.status < 500, "{what} at {now}: {}", answer.text());
        }
    }
}

#[test]
fn headers_that_are_strange_are_borne() {
    let scene = Scene::new();
    let long = "x".repeat(10_000);
    for (what, call) in
        scene.good_requests().into_iter().filter(|(what, _)| ["authorize", "userinfo", "code"].contains(what))
    {
        for name in ["accept", "cookie", "content-type", "origin", "authorization", "content-length", "sec-fetch-site"]
        {
            for value in ["", ";", "=", "é\u{0}", &long, "\t", "a=b; ; =; c"] {
                let answer = scene.deployment.send(call.clone().header(name, value));
                assert!(answer.status < 500, "{what}: {name}: {value}: {}", answer.text());
            }
        }
    }
}

#[test]
fn cookies_of_others_beside_ours_do_not_matter() {
    let scene = Scene::new();
    let (name, value) = scene.browser.cookie("session");
    let ask = scene.client.ask().with("prompt", "none").path();
    let with = |cookie: &str| scene.deployment.send(scene.deployment.get(&ask).header("cookie", cookie)).query();
    assert!(with(&format!("a=b; {name}={value};c=d;;")).contains_key("code"));
    assert!(with(&format!("x{name}=y; {name}={value}")).contains_key("code"));
    // Several headers of one name, as HTTP/2 may split them.
    let mut split = scene.deployment.get(&ask).header("cookie", "a=b");
    split.0.headers.push(("cookie".to_owned(), format!("{name}={value}")));
    assert!(scene.deployment.send(split).query().contains_key("code"));
    assert_eq!(with(&format!("{}={value}", name.to_lowercase()))["error"], "login_required");
}
