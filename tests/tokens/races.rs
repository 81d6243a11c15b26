//! Many at once, in orders that a seed decides, with isolates of their own and bindings that fail in between.

use vedette::http::Response;
use vedette::memory::{Breakage, interleave};

use crate::support::{Answer, Call, Deployment, Tokens};
use crate::{OFFLINE, Scene};

const AT_ONCE: usize = 50;
const SEEDS: u64 = 12;

/// Sends copies of a call through five isolates at once.
fn all_at_once(deployment: &Deployment, call: &Call, seed: u64) -> Vec<Answer> {
    let isolates: Vec<Deployment> = (0..5).map(|_| deployment.other_isolate()).collect();
    let calls = (0..AT_ONCE).map(|number| isolates[number % isolates.len()].handle(call.clone()));
    let responses: Vec<Response> = interleave(calls, seed);
    responses.into_iter().map(Answer::from).collect()
}

fn successes(answers: &[Answer]) -> Vec<Tokens> {
    answers.iter().filter(|answer| answer.status == 200).cloned().map(Tokens::of).collect()
}

#[test]
fn fifty_redemptions_of_one_code_are_one_grant_and_then_none() {
    let scene = Scene::new();
    for seed in 0..SEEDS {
        let call = scene.client.redemption(&scene.deployment, &scene.code(OFFLINE));
        let answers = all_at_once(&scene.deployment, &call, seed);
        let given = successes(&answers);
        assert_eq!(given.len(), 1, "seed {seed}");
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(refused.error(), (400, "invalid_grant"), "seed {seed}");
        }
        assert!(scene.honoured(&given[0]).is_empty(), "seed {seed}");
    }
    assert_eq!(scene.deployment.audited("grant.issued"), i64::try_from(SEEDS).unwrap());
}

#[test]
fn two_redemptions_under_failures_are_one_grant_at_most() {
    let scene = Scene::new();
    for seed in 0..SEEDS {
        let code = scene.code(OFFLINE);
        let grants = scene.deployment.audited("grant.issued");
        let breakages = [Breakage::SqlAnswerLost, Breakage::SqlTimeoutBefore, Breakage::SqlError];
        for place in 0..3 {
            let pass = (seed as usize + place) % 4;
            scene.deployment.world.break_after(pass, breakages[(seed as usize + place) % breakages.len()]);
        }
        let call = scene.client.redemption(&scene.deployment, &code);
        let answers: Vec<Answer> = {
            let calls = (0..3).map(|_| scene.deployment.handle(call.clone()));
            interleave(calls, seed).into_iter().map(Answer::from).collect()
        };
        scene.deployment.world.mend();
        assert!(successes(&answers).len() <= 1, "seed {seed}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert!(matches!(answer.error(), (400, "invalid_grant") | (503, "temporarily_unavailable")), "seed {seed}");
        }
        assert!(scene.deployment.audited("grant.issued") <= grants + 1, "seed {seed}");
        // Whoever got an answer and was then replayed has nothing left.
        if answers.iter().any(|answer| answer.status == 400) {
            for tokens in successes(&answers) {
                assert!(scene.honoured(&tokens).is_empty(), "seed {seed}");
            }
        }
    }
}

#[test]
fn fifty_refreshes_of_one_token_are_fifty_answers_and_one_step() {
    let scene = Scene::new();
    let generation = |grant: i64| {
        let sql = "SELECT generation FROM grants ORDER BY created_at DESC, generation DESC LIMIT 1";
        let found: i64 = scene.deployment.world.with_db(|db| db.query_row(sql, [], |row| row.get(0))).unwrap();
        assert_eq!(found, grant);
    };
    let mut tokens = scene.tokens(OFFLINE);
    for seed in 0..SEEDS {
        let call = scene.client.refreshing(&scene.deployment, tokens.refresh_token());
        let given = successes(&all_at_once(&scene.deployment, &call, seed));
        assert_eq!(given.len(), AT_ONCE, "seed {seed}");
        generation(i64::try_from(seed).unwrap() + 1);
        // Any of them may go on.
        tokens = given[seed as usize % AT_ONCE].clone();
    }
    scene.client.refresh(&scene.deployment, tokens.refresh_token()).expect(200);
    assert_eq!(scene.deployment.audited("refresh_token.reused"), 0);
}

#[test]
fn refreshes_under_failures_never_sign_an_honest_client_out() {
    let scene = Scene::new();
    let mut tokens = scene.tokens(OFFLINE);
    for seed in 0..SEEDS {
        for (place, breakage) in
            [Breakage::SqlAnswerLost, Breakage::SqlTimeoutBefore, Breakage::SignError].into_iter().enumerate()
        {
            scene.deployment.world.break_after((seed as usize * 7 + place * 3) % 8, breakage);
        }
        let call = scene.client.refreshing(&scene.deployment, tokens.refresh_token());
        let calls = (0..4).map(|_| scene.deployment.handle(call.clone()));
        let answers: Vec<Answer> = interleave(calls, seed).into_iter().map(Answer::from).collect();
        scene.deployment.world.mend();
        for answer in &answers {
            assert!(answer.status == 200 || answer.status == 503, "seed {seed}: {}", answer.text());
        }
        // What was not answered is tried again, as a client would.
        tokens = match successes(&answers).pop() {
            Some(tokens) => tokens,
            None => Tokens::of(scene.client.refresh(&scene.deployment, tokens.refresh_token())),
        };
        scene.deployment.world.advance(5);
    }
}

#[test]
fn redeeming_while_signing_out_never_leaves_a_live_grant() {
    let scene = Scene::new();
    for seed in 0..SEEDS {
        let code = scene.code("openid");
        let page = scene.browser.get("/end_session");
        let sign_out = scene
            .browser
            .dressed(scene.browser.submission(&crate::support::Page::of(&page), &[("answer", "sign-out")]));
        let redeem = scene.client.redemption(&scene.deployment, &code);
        let answers = interleave([redeem, sign_out].map(|call| scene.deployment.handle(call)), seed);
        let answers: Vec<Answer> = answers.into_iter().map(Answer::from).collect();
        scene.browser.keep(&answers[1]);
        for tokens in successes(&answers[..1]) {
            assert!(scene.honoured(&tokens).is_empty(), "seed {seed}");
        }
    }
    assert_eq!(scene.deployment.count("grants WHERE tenant_id = ?1 AND revoked_at IS NULL"), 0);
}
