//! First-run set-up: the page behind the one-time link makes the first tenant, its first administrator and the operator client.

use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Method, Request, Response};
use crate::oauth::client_metadata::ClientMetadata;
use crate::oauth::form::Form;
use crate::oauth::grant_type::{AuthMethod, GrantType};
use crate::oauth::secret;
use crate::platform::{Freshness, Platform, Statement};
use crate::setup::{self, Provisioned, Ticket};
use crate::store::audit::{self, AuditRow, Event};
use crate::store::clients::{self, ClientRow};
use crate::store::tenants::{self, Registration};
use crate::store::users::{self, UserRow, fold_username};
use crate::store::{first_row, keys};
use crate::tenant::Issuer;
use crate::ui::{self, Setup, SetupDone};

use super::{form_body, pages, query};

const UNDER_WAY: Refusal = Refusal::Conflict("This deployment is being set up at this moment.");

/// 1 the ticket is good, 2 no other set-up is at it, 3 nothing is set up yet, 4 show the form, or 5 check it, 6 make everything
/// in one batch that does nothing when somebody else was first, 7 show the operator client's secret, once.
pub async fn handle<P: Platform>(context: &Context<'_, P>, request: &Request) -> Result<Response, Error> {
    let is_sent = request.method == Method::Post;
    let form = if is_sent { form_body(request)? } else { query(request)? };
    form.check_unique()?;
    let roots = crate::tenants::roots(context).await?;
    let ticket = setup::open_ticket(&roots, form.value("ticket").unwrap_or_default(), context.now())?; // 1
    let issuer = Issuer::parse(&ticket.issuer).map_err(|_| Refusal::TicketInvalid)?;
    let turn = is_sent.then(|| context.isolate.enter_set_up(context.now()).ok_or(UNDER_WAY)).transpose()?; // 2
    let answer = context.sql(&tenants::survey(), Freshness::Primary).await?;
    if first_row(&answer, 1).is_some() {
        return Err(Refusal::AlreadySetUp.into()); // 3
    }
    let Some(_turn) = turn else {
        return Ok(page(&form, &issuer, 200, None)); // 4
    };
    match set_up(context, &form, &ticket, &issuer).await {
        Ok(done) if request.wants_html() => Ok(done.page()), // 7
        Ok(done) => Ok(done.json()),
        Err(Error::Refused(refusal)) if request.wants_html() && refusal != Refusal::AlreadySetUp => {
            Ok(page(&form, &issuer, 422, Some(&in_words_of_the_form(&refusal))))
        }
        Err(error) => Err(error),
    }
}

/// What is wrong with what a person typed, who sees labels and not parameters.
fn in_words_of_the_form(refusal: &Refusal) -> String {
    let label = |name: &'static str| match name {
        "issuer_name" => "display name",
        "email" => "email address",
        other => other,
    };
    match refusal {
        Refusal::MalformedParameter { name, why } => format!("The {} {why}.", label(name)),
        Refusal::MissingParameter(name) => format!("The {} is missing.", label(name)),
        other => other.told().text,
    }
}

fn page(form: &Form, issuer: &Issuer, status: u16, problem: Option<&str>) -> Response {
    let html = ui::setup(&Setup {
        base: &issuer.path,
        ticket: form.value("ticket").unwrap_or_default(),
        issuer: &issuer.url,
        issuer_name: form.value("issuer_name").unwrap_or_default(),
        username: form.value("username").unwrap_or_default(),
        email: form.value("email").unwrap_or_default(),
        registration_open: form.value("registration") == Some("open"),
        problem,
    });
    pages::plain(status, html)
}

/// What set-up made.
struct Done {
    issuer: Issuer,
    tenant_id: String,
    user_id: String,
    username: String,
    client_id: String,
    client_secret: String,
}

impl Done {
    fn page(&self) -> Response {
        let html = ui::setup_done(&SetupDone {
            base: &self.issuer.path,
            issuer: &self.issuer.url,
            username: &self.username,
            client_id: &self.client_id,
            client_secret: &self.client_secret,
        });
        pages::plain(201, html)
    }

    fn json(&self) -> Response {
        Response::json(
            201,
            &json!({
                "tenant_id": self.tenant_id,
                "issuer": self.issuer.url,
                "user_id": self.user_id,
                "client_id": self.client_id,
                "client_secret": self.client_secret,
            }),
        )
    }
}

async fn set_up<P: Platform>(
    context: &Context<'_, P>,
    form: &Form,
    ticket: &Ticket,
    issuer: &Issuer,
) -> Result<Done, Error> {
    let username = username(form.required("username")?)?; // 5
    let password = form.required("password")?;
    crate::password::check(password)?;
    let name = form.value("issuer_name").unwrap_or("Vedette");
    if name.chars().count() > 80 || name.chars().any(char::is_control) {
        return Err(Refusal::MalformedParameter { name: "issuer_name", why: "is longer than 80 characters" }.into());
    }
    let email = form.value("email");
    if email.is_some_and(|email| email.len() > 254 || !email.contains('@') || email.contains(char::is_whitespace)) {
        return Err(Refusal::MalformedParameter { name: "email", why: "has to look like name@example.com" }.into());
    }
    let registration =
        if form.value("registration") == Some("open") { Registration::Open } else { Registration::Closed };
    let made = setup::provision(context, issuer, name, registration).await?;
    let password_hash = crate::password::hash(context, &made.pepper, password)?;
    let user = administrator(context, username, email);
    let client_secret = context.random_id::<32>();
    let client = operator_client(context, &client_secret);
    let mut batch = vec![tenants::insert_first(&made.tenant)];
    batch.extend(contents(context, &made, &user, &password_hash, &client, ticket));
    let made_at = batch.len();
    batch.push(tenants::by_id(&made.tenant.id));
    let answer = context.sql_idempotent(&batch, Freshness::Primary).await?; // 6
    // The row is there also when the first answer was lost. Without its secret nobody could manage what was set up.
    if first_row(&answer, made_at).is_none() {
        return Err(Refusal::AlreadySetUp.into());
    }
    // So a copy that cannot be made now must not keep the secret back either; the first request makes one.
    if let Err(Error::Broken(fault)) = crate::tenants::read(context, &issuer.locator).await {
        context.platform.log(&json!({"level": "warn", "copy_not_made": fault.to_string()}).to_string());
    }
    Ok(Done {
        issuer: issuer.clone(),
        tenant_id: made.tenant.id,
        user_id: user.id,
        username: user.username,
        client_id: client.id,
        client_secret,
    })
}

/// A username as users have it: 1 to 128 characters, none of them invisible.
fn username(text: &str) -> Result<&str, Refusal> {
    let text = text.trim();
    let good = (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if good {
        Ok(text)
    } else {
        Err(Refusal::MalformedParameter { name: "username", why: "has to have 1 to 128 characters" })
    }
}

/// Everything below the tenant's row. Each statement selects from that row, so without it nothing happens.
fn contents<P: Platform>(
    context: &Context<'_, P>,
    made: &Provisioned,
    user: &UserRow,
    password_hash: &str,
    client: &ClientRow,
    ticket: &Ticket,
) -> Vec<Statement> {
    let tenant_id = &made.tenant.id;
    let now = context.now();
    let mut statements: Vec<Statement> =
        made.keys.iter().map(|key| keys::insert(tenant_id, &made.tenant.wrapped_master, key)).collect();
    statements.push(users::insert(tenant_id, user));
    statements.push(users::set_password(tenant_id, user, password_hash));
    statements.push(clients::insert(tenant_id, client));
    statements.push(tenants::use_ticket(tenant_id, &ticket.id, now));
    let row = AuditRow { user_id: Some(&user.id), client_id: Some(&client.id), ..context.audit(Event::SetUp) };
    statements.push(audit::insert(tenant_id, row));
    statements
}

fn administrator<P: Platform>(context: &Context<'_, P>, username: &str, email: Option<&str>) -> UserRow {
    let now = context.now();
    let mut claims = serde_json::Map::new();
    claims.insert("preferred_username".to_owned(), json!(username));
    if let Some(email) = email {
        claims.insert("email".to_owned(), json!(email));
        claims.insert("email_verified".to_owned(), json!(false));
    }
    UserRow {
        id: context.random_id::<16>(),
        username: username.to_owned(),
        username_folded: fold_username(username),
        claims,
        administrator: true,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    }
}

/// The only place that makes a client an operator (design.md §7).
fn operator_client<P: Platform>(context: &Context<'_, P>, client_secret: &str) -> ClientRow {
    let now = context.now();
    ClientRow {
        id: context.random_id::<16>(),
        secret_hash: Some(secret::hash(client_secret)),
        registration_token_hash: None,
        metadata: ClientMetadata {
            token_endpoint_auth_method: AuthMethod::ClientSecretBasic.as_str().to_owned(),
            grant_types: vec![GrantType::ClientCredentials.as_str().to_owned()],
            client_name: Some("Operator".to_owned()),
            ..ClientMetadata::default()
        },
        operator: true,
        resource_server: false,
        demo_redirects: false,
        access_token_lifetime: None,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    }
}
