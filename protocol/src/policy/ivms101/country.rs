//! The country codes of ISO 3166-1.

use crate::types::Country;

/// The codes that are assigned, one after the other, sorted.
const ASSIGNED: &str = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBY\
    BZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGH\
    GIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLC\
    LILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPE\
    PFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTK\
    TLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW";

/// What the standard's users write for somebody without a state.
const STATELESS: &str = "XX";

/// Whether there is such a country, or it is said that there is none.
pub(super) fn is_known(country: Country) -> bool {
    let code = country.as_str();
    let assigned = ASSIGNED.as_bytes().as_chunks::<2>().0;
    code == STATELESS
        || assigned.binary_search_by(|known| known.as_slice().cmp(code.as_bytes())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_whole() {
        let codes = ASSIGNED.as_bytes().as_chunks::<2>().0;
        assert_eq!(codes.len(), 249);
        assert!(codes.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn assigned_codes_are_known_and_others_are_not() {
        for (text, known) in
            [("DE", true), ("ZW", true), ("XX", true), ("QQ", false), ("UK", false)]
        {
            assert_eq!(is_known(text.parse().unwrap()), known, "{text}");
        }
    }
}
