"""An address is written in the order of its country, and shows all that was typed."""

import pytest

from waypost.rendering.filters import babel_locale
from waypost.rendering.postal_address import address_lines, country_code

EN = babel_locale("en")


def lines(city, region, postcode, country, locale="en", street="1 Road"):
    written = address_lines("Ada", street, city, region, postcode, country, babel_locale(locale))
    return " / ".join(written)


@pytest.mark.parametrize(
    ("city", "region", "postcode", "country", "place"),
    [
        ("Alta Vista", "NM", "87999", "United States", "Alta Vista, NM 87999"),
        ("Alta Vista, NM", "", "87999", "USA", "Alta Vista, NM 87999"),
        ("Toronto", "ON", "M5V 2T6", "Canada", "Toronto ON M5V 2T6"),
        ("Sydney", "NSW", "2000", "Australia", "Sydney NSW 2000"),
        ("London", "", "EC2 5NT", "UK", "London / EC2 5NT"),
        ("Cowes", "Isle of Wight", "PO31 7PJ", "United Kingdom", "Cowes / Isle of Wight / PO31 7PJ"),
        ("Cork", "", "", "Ireland", "Cork"),
        ("Köln", "", "50667", "Deutschland", "50667 Köln"),
        ("Nantes", "", "44000", "France", "44000 Nantes"),
        ("Bari", "BA", "70100", "Italia", "70100 Bari BA"),
        ("Puebla", "Pue.", "72000", "México", "72000 Puebla, Pue."),
        ("Rio de Janeiro", "RJ", "05454-876", "Brasil", "Rio de Janeiro-RJ / 05454-876"),
        ("Caracas", "D.C.", "1081", "Venezuela", "Caracas 1081, D.C."),
        ("Singapore", "", "049483", "Singapore", "Singapore 049483"),
        ("Kyoto", "", "600-0000", "Japan", "600-0000 Kyoto"),
        ("Nowhere", "Far", "7", "Atlantis", "7 Nowhere, Far"),
    ],
)
def test_the_place_is_written_in_the_order_of_its_country(city, region, postcode, country, place):
    assert lines(city, region, postcode, country) == f"Ada / 1 Road / {place} / {country}"


@pytest.mark.parametrize(
    ("city", "postcode", "country", "written"),
    [
        ("京都市", "600-0000", "日本", "〒600-0000 / 京都市三丁目 / Ada / 日本"),
        ("北京市", "100000", "中国", "100000 / 北京市三丁目 / Ada / 中国"),
    ],
)
def test_an_east_asian_address_goes_from_the_large_to_the_small(city, postcode, country, written):
    assert lines(city, "", postcode, country, "ja", "三丁目") == written


@pytest.mark.parametrize(
    ("country", "locale", "code"),
    [
        ("us", "en", "US"),
        ("U.S.A.", "de", "US"),
        ("Vereinigte Staaten", "de", "US"),
        ("United  States", "pl", "US"),
        ("England", "fr", "GB"),
        ("GROSSBRITANNIEN", "de-CH", ""),
        ("Brasil", "en", "BR"),
        ("", "en", ""),
        ("<b>", "en", ""),
    ],
)
def test_a_country_is_known_by_its_names_and_codes(country, locale, code):
    assert country_code(country, babel_locale(locale)) == code


@pytest.mark.parametrize(
    ("country", "locale", "shown"),
    [("GB", "fr", "Royaume-Uni"), ("ch", "de", "Schweiz"), ("CN", "zh", "中国"), ("USA", "de", "USA"),
     ("UK", "de", "UK"), ("England", "de", "England"), ("XX", "de", "XX"), ("7", "de", "7")],
)  # fmt: skip
def test_a_country_given_by_its_code_is_shown_by_its_name(country, locale, shown):
    assert lines("C", "", "", country, locale).split(" / ")[-1] == shown


def test_a_street_of_several_lines_keeps_them_and_nothing_is_lost():
    written = lines("Wells", "", "", "UK", street="Mill\n\n 4 Quay Lane ")
    assert written == "Ada / Mill / 4 Quay Lane / Wells / UK"
    for country in ("US", "GB", "JP", "SG", "HK", "AE", "BR", "PK", "FR", "TR", "CO"):
        assert {*"CSZ"} <= {*lines("C", "S", "Z", country)}, country
