"""Which addresses a URL from outside may lead to."""

from ipaddress import ip_address, ip_network

import pytest

from waypost.net.allowed_networks import admitting, is_forbidden, is_public

PUBLIC = [
    "93.184.216.34",
    "1.1.1.1",
    "192.0.1.1",
    "2606:2800:220:1::1",
    "64:ff9b::5db8:d822",
    "::ffff:1.1.1.1",
]
PRIVATE = [
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.9.9.9",
    "172.16.0.1",
    "192.168.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "fc00::1",
    "fd12::1",
]
# https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-special-registry, beside those above.
SPECIAL = [
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fec0::/10",
]
FORBIDDEN = [
    "0.0.0.0",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "100.100.100.200",
    "224.0.0.1",
    "233.252.0.1",
    "255.255.255.255",
    "::",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a83f:8110",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1:fa9:fe:a9fe::",
    "64:ff9b:1:f:a9:fea9:fe00:0",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(ip_address(address))
    assert admitting(private=False)(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_one_is_admitted_where_that_is_allowed_however_it_is_wrapped_up(address):
    found = ip_address(address)
    assert [admitting(private=allowed)(found) for allowed in (False, True)] == [False, True]


@pytest.mark.parametrize("network", SPECIAL)
def test_no_address_of_a_special_purpose_network_is_public(network):
    found = ip_network(network)
    assert not [
        one for one in (found[0], found[1], found[found.num_addresses // 2], found[-1]) if is_public(one)
    ]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_metadata_and_addresses_of_no_one_host_are_never_admitted(address):
    found = ip_address(address)
    assert is_forbidden(found)
    assert not [allowed for allowed in (False, True) if admitting(private=allowed)(found)]
