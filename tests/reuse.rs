//! Answers that a host may give again without asking the core: for how long, to what, and that a change ends it at once.

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use vedette::Isolate;
use vedette::http::{Method, Response, Reuse};
use vedette::keys::schedule::{PUBLICATION_LEAD, RETIREMENT};
use vedette::memory::{block_on, interleave};
use vedette::platform::UnixTime;
use vedette::tenants::COPY_BOUND;

use support::{Answer, Call, Deployment};

const DOCUMENTS: [&str; 3] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"];
const LOCATOR: &str = "id.example.com";

fn reuse(deployment: &Deployment, path: &str) -> Option<Reuse> {
    let answer = deployment.send(deployment.get(path));
    assert_eq!(answer.status, 200);
    answer.response.reuse
}

/// When the isolate's copy was read.
fn read_at(deployment: &Deployment) -> UnixTime {
    deployment.isolate.tenant(LOCATOR).expect("a copy").read_at()
}

#[test]
fn a_document_may_be_given_again_while_the_copy_lasts() {
    let deployment = Deployment::new();
    for path in DOCUMENTS {
        let cold = deployment.other_isolate();
        assert_eq!(reuse(&cold, path), None, "its log line says what the copy cost");
        let end = read_at(&cold).plus(COPY_BOUND);
        for _ in 0..3 {
            let now = cold.world.now();
            assert_eq!(reuse(&cold, path).expect("reuse").when, now..end, "{path}");
            cold.world.advance(19);
        }
        cold.world.advance(COPY_BOUND);
        assert_eq!(reuse(&cold, path), None, "the copy was read anew");
        assert_eq!(reuse(&cold, path).expect("reuse").when.end, read_at(&cold).plus(COPY_BOUND));
    }
}

#[test]
fn a_copy_of_a_clock_ahead_lasts_no_longer_than_by_that_clock() {
    let deployment = Deployment::new();
    let behind = Deployment { host: deployment.world.instance_with_skew(-8), ..deployment.other_isolate() };
    let _ = reuse(&behind, "/jwks");
    let when = reuse(&behind, "/jwks").expect("reuse").when;
    assert_eq!(when, deployment.world.now().plus(-8)..read_at(&behind).plus(COPY_BOUND));
}

#[test]
fn its_log_line_is_the_requests_own_but_for_time_and_request_id() {
    let deployment = Deployment::new();
    for path in DOCUMENTS {
        let answer = deployment.send(deployment.get(path));
        let [before_time, before_id, after_id] = answer.response.reuse.clone().expect("reuse").log_line;
        let line = deployment.world.log().pop().expect("a line");
        let (time, id) = (deployment.world.now().0, answer.header("x-request-id"));
        assert_eq!(format!("{before_time}{time}{before_id}{id}{after_id}"), line);
        let line = deployment.last_log();
        assert_eq!((&line["sql"], &line["kv"], &line["status"]), (&json!(0), &json!(0), &json!(200)));
    }
}

#[test]
fn nothing_else_may_be_given_again() {
    let deployment = Deployment::new();
    for path in DOCUMENTS {
        assert!(reuse(&deployment, path).is_some());
        for method in [Method::Head, Method::Options, Method::Post, Method::Other] {
            assert_eq!(deployment.send(deployment.call(method, path)).response.reuse, None, "{method:?} {path}");
        }
        for query in ["?", "?x=1"] {
            assert_eq!(reuse(&deployment, &format!("{path}{query}")), None);
        }
        let elsewhere = deployment.send(deployment.get(path).host("nobody.example"));
        assert_eq!((elsewhere.status, elsewhere.response.reuse), (404, None));
    }
    for path in ["/", "/health", "/authorize", "/userinfo", "/end_session", "/setup", "/nothing", "/admin/api/tenants"]
    {
        assert_eq!(deployment.send(deployment.get(path)).response.reuse, None, "{path}");
    }
}

#[test]
fn no_header_of_a_request_changes_a_document_but_the_host() {
    let deployment = Deployment::new();
    for path in DOCUMENTS {
        let plain = deployment.send(deployment.get(path)).response;
        for (name, value) in [
            ("accept", "text/html"),
            ("origin", "https://evil.example"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("content-type", "text/plain"),
            ("content-length", "7"),
            ("content-encoding", "gzip"),
            ("sec-fetch-site", "cross-site"),
            ("access-control-request-method", "POST"),
        ] {
            let other = deployment.send(deployment.get(path).header(name, value)).response;
            let without_id = |response: &Response| -> Vec<_> {
                response.headers.iter().filter(|(name, _)| *name != "x-request-id").cloned().collect()
            };
            assert_eq!((other.status, &other.body), (plain.status, &plain.body), "{path} {name}");
            assert_eq!(without_id(&other), without_id(&plain), "{path} {name}");
        }
    }
}

#[test]
fn a_key_that_is_due_asks_for_a_request() {
    let deployment = Deployment::new();
    let due = deployment.isolate.tenant(LOCATOR).expect("a copy").keys_due_from();
    deployment.world.set_now(due.plus(-20));
    for path in DOCUMENTS {
        let _ = reuse(&deployment, path);
        assert_eq!(reuse(&deployment, path).expect("reuse").when.end, due, "{path}");
    }
    deployment.world.set_now(due);
    for path in DOCUMENTS {
        let answer = block_on(deployment.handle(deployment.get(path)));
        assert_eq!((answer.status, answer.reuse), (200, None), "{path}: what is due is being made");
    }
    block_on(deployment.world.run_deferred());
    for path in DOCUMENTS {
        assert!(reuse(&deployment, path).is_some(), "{path}");
    }
}

#[test]
fn a_key_that_leaves_ends_the_jwk_set_but_not_discovery() {
    let mut deployment = Deployment::new();
    let rotated = deployment.send(deployment.admin(Method::Post, "/keys/rotate").json(&json!({"alg": "EdDSA"})));
    rotated.expect(200);
    let leaves = deployment.world.now().plus(PUBLICATION_LEAD + RETIREMENT);
    // Whatever is due on the way gets made.
    for at in [PUBLICATION_LEAD, RETIREMENT / 2] {
        deployment.world.advance(at);
        let _ = reuse(&deployment, "/jwks");
    }
    deployment.world.set_now(leaves.plus(-20));
    deployment.renew_admin_token();
    let _ = reuse(&deployment, "/jwks");
    assert_eq!(reuse(&deployment, "/jwks").expect("reuse").when.end, leaves);
    let discovery = reuse(&deployment, DOCUMENTS[0]).expect("reuse");
    assert_eq!(discovery.when.end, read_at(&deployment).plus(COPY_BOUND));
    let before = deployment.send(deployment.get("/jwks")).expect(200);
    deployment.world.set_now(leaves);
    assert_ne!(deployment.send(deployment.get("/jwks")).expect(200), before);
}

/// A host that keeps one answer, and forgets it when it is told.
struct Keeping {
    deployment: Deployment,
    kept: Rc<RefCell<Option<Response>>>,
}

impl Keeping {
    fn new(deployment: &Deployment) -> Self {
        let kept = Rc::<RefCell<Option<Response>>>::default();
        let told = kept.clone();
        let isolate = Rc::new(Isolate::telling(move || *told.borrow_mut() = None));
        Self { deployment: Deployment { isolate, ..deployment.other_isolate() }, kept }
    }

    async fn get(&self, path: &str) -> Response {
        let answer = self.deployment.handle(self.deployment.get(path)).await;
        if answer.reuse.is_some() {
            *self.kept.borrow_mut() = Some(answer.clone());
        }
        answer
    }

    /// Whether the answer is kept, after it was asked for twice.
    fn keeps(&self, path: &str) -> bool {
        let _ = block_on(self.get(path));
        let _ = block_on(self.get(path));
        self.kept.borrow().is_some()
    }
}

fn changes(deployment: &Deployment) -> Vec<(&'static str, Call)> {
    let tenant = |change: Value| deployment.manage(Method::Patch, "").json(&change);
    let listed = deployment.send(deployment.manage(Method::Get, "/keys")).expect(200);
    let standby = listed["keys"].as_array().unwrap().iter().find(|key| key["state"] == "standby").unwrap();
    let revoke = format!("/keys/{}/revoke", standby["kid"].as_str().unwrap());
    let keys = |path: &str, what: Value| deployment.manage(Method::Post, path).json(&what);
    vec![
        ("a name", tenant(json!({"name": "Renamed"}))),
        ("closed registration", tenant(json!({"registration": "closed"}))),
        ("regions", tenant(json!({"regions": ["weur"]}))),
        ("a rotation", keys("/keys/rotate", json!({"alg": "ES256"}))),
        ("a revocation", keys(&revoke, json!({}))),
        ("the end of the tenant", tenant(json!({"disabled": true}))),
    ]
}

#[test]
fn an_operators_change_ends_it_where_it_is_made_before_it_is_answered() {
    for path in DOCUMENTS {
        let home = Deployment::new();
        let deployment = home.another_tenant("https://id.other.example");
        // Its standby keys are made behind the first answer.
        let _ = deployment.send(deployment.get("/jwks"));
        let here = Keeping::new(&deployment);
        for (what, change) in changes(&deployment) {
            // The operator's own tenant is known already: that it is read is not what ends it.
            let _ = block_on(here.deployment.handle(home.get("/jwks")));
            assert!(here.keeps(path), "{path} before {what}");
            Answer::from(block_on(here.deployment.handle(change))).expect(200);
            assert!(here.kept.borrow().is_none(), "{path} after {what}");
            block_on(deployment.world.run_deferred());
        }
        assert!(!here.keeps(path), "{path} of a disabled tenant");
    }
}

#[test]
fn what_is_made_behind_an_answer_ends_it_too() {
    let deployment = Deployment::new();
    let here = Keeping::new(&deployment);
    let regions = deployment.manage(Method::Patch, "").json(&json!({"regions": ["weur"]}));
    Answer::from(block_on(here.deployment.handle(regions))).expect(200);
    let before = block_on(here.get("/jwks"));
    block_on(deployment.world.run_deferred());
    assert!(here.kept.borrow().is_none());
    assert_ne!(block_on(here.get("/jwks")).body, before.body);
}

#[test]
fn an_answer_that_a_change_overtook_is_not_kept() {
    for seed in 0..100 {
        let deployment = Deployment::new();
        let here = Keeping::new(&deployment);
        let close = deployment.manage(Method::Patch, "").json(&json!({"registration": "closed"}));
        let changed = async { here.deployment.handle(close).await };
        type Step<'a> = std::pin::Pin<Box<dyn Future<Output = Response> + 'a>>;
        let mut steps: Vec<Step<'_>> = vec![Box::pin(changed)];
        steps.extend((0..4).map(|_| Box::pin(here.get(DOCUMENTS[0])) as Step<'_>));
        let answers = interleave(steps, seed);
        assert!(answers.iter().all(|answer| answer.status == 200));
        if let Some(kept) = &*here.kept.borrow() {
            let text = |body: &[u8]| serde_json::from_slice::<Value>(body).expect("JSON");
            assert_eq!(text(&kept.body).get("registration_endpoint"), None, "seed {seed}");
        }
    }
}
