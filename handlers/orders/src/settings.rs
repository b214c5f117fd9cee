//! What the `config` section of the manifest can set.

/// 100 %.
pub(crate) const WHOLE: u64 = 10_000;

/// The settings of one call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `currency`: three capital letters. All prices are in its minor unit.
    pub(crate) currency: String,
    /// `tax-basis-points`: hundredths of a percent, 1900 for 19 %. None when absent.
    pub(crate) tax_basis_points: u64,
    /// `unavailable`: customers, separated by commas, that nobody can answer for just now.
    unavailable: Vec<String>,
}

impl Settings {
    /// Reads all settings through `get`. The error names the setting that is missing or wrong.
    pub(crate) fn read(
        get: impl Fn(&str) -> Result<Option<String>, String>,
    ) -> Result<Self, String> {
        let currency = get("currency")?.ok_or("setting \"currency\" is missing")?;
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(format!("setting \"currency\" must be like \"EUR\", not {currency:?}"));
        }

        let tax = get("tax-basis-points")?.unwrap_or_else(|| "0".into());
        let tax_basis_points =
            tax.parse().ok().filter(|points| *points <= WHOLE).ok_or_else(|| {
                format!("setting \"tax-basis-points\" must be 0 to {WHOLE}, not {tax:?}")
            })?;

        let unavailable = get("unavailable")?.unwrap_or_default();
        let unavailable = unavailable.split(',').map(|name| name.trim().to_owned()).collect();

        Ok(Self { currency, tax_basis_points, unavailable })
    }

    /// Whether the customer's orders have to wait.
    pub(crate) fn is_unavailable(&self, customer: &str) -> bool {
        self.unavailable.iter().any(|name| name == customer)
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    fn read(settings: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|key| {
            let found = settings.iter().find(|(name, _)| *name == key);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn only_the_currency_is_needed() {
        let settings = read(&[("currency", "EUR")]).unwrap();
        assert_eq!(settings.tax_basis_points, 0);
        assert!(!settings.is_unavailable("ada"));
        assert_eq!(read(&[]).unwrap_err(), "setting \"currency\" is missing");
    }

    #[test]
    fn unavailable_customers_are_separated_by_commas() {
        let settings = read(&[("currency", "EUR"), ("unavailable", "ada, grace")]).unwrap();
        assert!(settings.is_unavailable("ada"));
        assert!(settings.is_unavailable("grace"));
        assert!(!settings.is_unavailable("alan"));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for currency in ["eur", "EURO", "€"] {
            assert!(read(&[("currency", currency)]).unwrap_err().contains("\"currency\""));
        }
        for tax in ["19%", "-1", "10001", ""] {
            let error = read(&[("currency", "EUR"), ("tax-basis-points", tax)]).unwrap_err();
            assert!(error.contains("\"tax-basis-points\" must be 0 to 10000"), "{error}");
        }
    }

    #[test]
    fn an_unreadable_setting_is_an_error() {
        assert_eq!(Settings::read(|_| Err("no store".into())), Err("no store".into()));
    }
}
