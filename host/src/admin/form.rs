//! The form that a deployment is: a manifest, a component and its signature.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use hyper::body::Body as _;
use multer::{Constraints, Field, Multipart, SizeLimit};
use utoipa::ToSchema;

use super::body::{too_large, unreadable};
use crate::problem::{Kind, Problem};

/// The largest component that is taken over HTTP, in bytes.
const MAX_COMPONENT: u64 = 128 << 20;
/// The largest manifest, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
/// The largest signature, in bytes.
const MAX_SIGNATURE: u64 = 4 << 10;
/// The whole form, with what stands between its parts.
const MAX_FORM: u64 = MAX_COMPONENT + MAX_MANIFEST + MAX_SIGNATURE + (64 << 10);

const MANIFEST: &str = "manifest";
const COMPONENT: &str = "component";
const SIGNATURE: &str = "signature";

/// What is to be deployed.
#[derive(ToSchema)]
pub(super) struct Form {
    /// The text of handler.toml. What stands under `component`, `[build]` and `[test]` is left
    /// out; its `name` is that of the path.
    #[schema(example = "name = \"weather\"\nfrom = [\"orders\"]\nto = [\"invoices\"]")]
    pub(super) manifest: String,
    /// The WebAssembly component, up to 128 MiB.
    #[schema(value_type = String, content_media_type = "application/wasm")]
    pub(super) component: Vec<u8>,
    /// The signature of the component, as `lockstep sign` writes it.
    pub(super) signature: Option<String>,
}

/// The parts that have come so far.
#[derive(Default)]
struct Parts {
    manifest: Option<String>,
    component: Option<Vec<u8>>,
    signature: Option<String>,
}

/// Reads the form. Nothing is read of one that announces more than is taken.
pub(super) async fn read(request: Request) -> Result<Form, Problem> {
    let (head, body) = request.into_parts();
    let given = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let boundary = multer::parse_boundary(given).map_err(|error| no_form(given, &error))?;
    if body.size_hint().lower() > MAX_FORM {
        return Err(too_large("the form", MAX_FORM));
    }
    let sizes = SizeLimit::new()
        .whole_stream(MAX_FORM)
        .per_field(MAX_SIGNATURE)
        .for_field(MANIFEST, MAX_MANIFEST)
        .for_field(COMPONENT, MAX_COMPONENT);
    let allowed = vec![MANIFEST, COMPONENT, SIGNATURE];
    let constraints = Constraints::new().allowed_fields(allowed).size_limit(sizes);
    let mut form = Multipart::with_constraints(body.into_data_stream(), boundary, constraints);
    let mut parts = Parts::default();
    while let Some(field) = form.next_field().await.map_err(malformed)? {
        parts.take(field).await?;
    }
    parts.complete()
}

impl Parts {
    async fn take(&mut self, field: Field<'_>) -> Result<(), Problem> {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = bytes(field).await?;
        let text = |bytes| {
            String::from_utf8(bytes).map_err(|error| bad(format!("the part {name:?}: {error}")))
        };
        let is_second = match name.as_str() {
            MANIFEST => self.manifest.replace(text(bytes)?).is_some(),
            COMPONENT => self.component.replace(bytes).is_some(),
            _ => self.signature.replace(text(bytes)?).is_some(),
        };
        match is_second {
            true => Err(bad(format!("the form has two parts {name:?}"))),
            false => Ok(()),
        }
    }

    fn complete(self) -> Result<Form, Problem> {
        let missing = |name: &str| {
            bad(format!(
                "the form has no part {name:?}: send the parts {MANIFEST:?}, {COMPONENT:?} and, \
                 when it is signed, {SIGNATURE:?}"
            ))
        };
        Ok(Form {
            manifest: self.manifest.ok_or_else(|| missing(MANIFEST))?,
            component: self.component.ok_or_else(|| missing(COMPONENT))?,
            signature: self.signature,
        })
    }
}

/// Grows with what arrives, not with what was announced.
async fn bytes(mut field: Field<'_>) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(malformed)? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn no_form(given: &str, error: &multer::Error) -> Problem {
    let detail =
        format!("the content-type is {given:?} ({error}); send a form as \"multipart/form-data\"");
    Problem::new(Kind::UnsupportedMediaType, detail)
}

fn malformed(error: multer::Error) -> Problem {
    match error {
        multer::Error::FieldSizeExceeded { limit, field_name } => {
            too_large(&format!("the part {:?}", field_name.unwrap_or_default()), limit)
        }
        multer::Error::StreamSizeExceeded { limit } => too_large("the form", limit),
        multer::Error::StreamReadFailed(error) => unreadable(&*error, MAX_FORM),
        error => bad(format!("the form cannot be read: {error}")),
    }
}

fn bad(detail: String) -> Problem {
    Problem::new(Kind::BadRequest, detail)
}
