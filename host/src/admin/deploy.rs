//! The route that deploys.

use anyhow::{Context as _, anyhow};
use axum::extract::Request;
use serde::Deserialize;
use toml::Table;
use utoipa::IntoParams;

use super::answer::Answer;
use super::asked::{Asked, Named};
use super::form::{self, Form};
use super::query::{Asks, Wait};
use crate::config::MANIFEST;
use crate::fleet::{Error, Parcel, Shipment};
use crate::problem::Problem;

/// How it is deployed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Deploying {
    /// How long to wait for the hosts, up to 10m; `0s` does not wait
    #[param(value_type = Option<String>, default = "30s", example = "30s")]
    #[serde(default)]
    wait: Wait,
    /// The newest revision that the deployer knows, 0 for none: if there is another one by now,
    /// it came between, and nothing is deployed
    base: Option<u64>,
    /// Make the topics that are missing, with the usual number of partitions
    #[serde(default)]
    create_topics: bool,
}

/// Deploy a handler to all hosts of the fleet
///
/// Makes a new revision the active one, unless the active one is the same. What this host could
/// not run is refused before anything is written. If another host cannot run it, the old revision
/// is made the active one again, and the reasons are told.
#[utoipa::path(
    post, path = "/v1/handlers/{name}/deploy", operation_id = "deployHandler", tag = "handlers",
    params(Named, Deploying),
    request_body(content = Form, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "All hosts that are there run it", body = Shipment),
        (status = 202, description = "It is in the registry; hosts are late", body = Shipment),
    ),
)]
pub(super) async fn deploy(
    asked: Asked,
    named: Named,
    Asks(deploying): Asks<Deploying>,
    request: Request,
) -> Result<Answer<Shipment>, Problem> {
    // Kept until the component is deployed.
    let place = asked.upload()?;
    let form = form::read(request).await?;
    let inspector = asked.inspector();
    asked
        .work(move |fleet| {
            let parcel = parcel(&named.name, form).map_err(Error::Invalid)?;
            inspector.inspect(&parcel)?;
            let handler = parcel.handler().map_err(|error| Error::Invalid(error.into()))?;
            fleet.check_topics(&handler, deploying.create_topics)?;
            let mut shipment = fleet.deploy(&named.name, &parcel, deploying.base)?;
            drop((parcel, place));
            let patience = deploying.wait.patience();
            if let Some(patience) = &patience {
                fleet.roll_out(&mut shipment, patience)?;
            }
            let is_done = !shipment.changed || patience.is_some() && shipment.late.is_empty();
            Ok(Answer { is_done, of: shipment })
        })
        .await
}

/// What was sent, when it is of the handler that the path names.
fn parcel(name: &str, form: Form) -> anyhow::Result<Parcel> {
    let table: Table = form.manifest.parse().context("the manifest is not TOML")?;
    let signature = form.signature.map(|text| text.trim().parse()).transpose();
    let signature = signature.context("the part \"signature\" holds no signature")?;
    let parcel = Parcel::new(MANIFEST, table, form.component, signature);
    let handler = parcel.handler()?;
    if handler.name != name {
        return Err(anyhow!(
            "the manifest is that of handler {:?}, and the path names {name:?}",
            handler.name
        ));
    }
    Ok(parcel)
}
