#include "base/endpoint.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace shoal {
namespace {

IpAddress ip(std::string_view text) {
  const auto address = IpAddress::parse(text);
  REQUIRE(address.has_value());
  return *address;
}
std::string text(const auto& value) { return std::string(to_text(value).view()); }

TEST_CASE("addresses are read in both families, with and without brackets") {
  CHECK(text(ip("10.0.0.1")) == "10.0.0.1");
  CHECK(text(ip("::1")) == "::1");
  CHECK(text(ip("[2001:db8::5]")) == "2001:db8::5");
  const IpAddress plain = ip("10.0.0.1"), mapped = ip("::ffff:10.0.0.1");
  CHECK(plain.raw().size() == 4);
  CHECK(mapped.raw().size() == 16);
  CHECK(text(ip("::ffff:10.0.0.1")) == "10.0.0.1");
  CHECK(text(IpAddress{}) == "-");
}

TEST_CASE("what is no address is none") {
  using namespace std::string_view_literals;
  for (const std::string_view bad :
       {""sv, "[]"sv, "["sv, "]"sv, "localhost"sv, "10.0.0"sv, "10.0.0.256"sv, "10.0.0.1 "sv, " 10.0.0.1"sv,
        "10.0.0.1\0"sv, "10.0.0.1\0x"sv, "fe80::1%eth0"sv, "::1::"sv, "[::1"sv, "10.0.0.1:80"sv, "0x7f.1"sv,
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333:4444:5555:6666:7777:8888"sv}) {
    CAPTURE(bad);
    CHECK_FALSE(IpAddress::parse(bad).has_value());
  }
  for (const std::size_t size : {0, 1, 3, 5, 15, 17}) {
    CHECK_FALSE(IpAddress::from_raw(std::vector<std::uint8_t>(size)).has_value());
  }
}

TEST_CASE("4 bytes and 16 bytes of one host are the same host but not equal") {
  const IpAddress plain = ip("10.0.0.1"), mapped = ip("::ffff:10.0.0.1");
  CHECK_FALSE(plain == mapped);
  CHECK(same_host(plain, mapped));
  CHECK(mapped.unmapped() == plain);
  CHECK((plain.is_v4() && mapped.is_v4()));
  CHECK_FALSE(ip("::10.0.0.1").is_v4());
  CHECK(same_place({plain, 80}, {mapped, 80}));
  CHECK_FALSE(same_place({plain, 80}, {mapped, 81}));
  CHECK_FALSE(same_host(plain, ip("10.0.0.2")));
}

TEST_CASE("each address is of the classes that its text says") {
  struct {
    const char* text;
    bool loopback, unspecified, link_local, multicast;
  } const rows[] = {
      {"127.0.0.1", true, false, false, false},
      {"127.255.0.9", true, false, false, false},
      {"128.0.0.1", false, false, false, false},
      {"::1", true, false, false, false},
      {"::2", false, false, false, false},
      {"::ffff:127.0.0.1", true, false, false, false},
      {"0.0.0.0", false, true, false, false},
      {"::", false, true, false, false},
      {"::ffff:0.0.0.0", false, true, false, false},
      {"0.0.0.1", false, false, false, false},
      {"169.254.1.1", false, false, true, false},
      {"169.253.1.1", false, false, false, false},
      {"fe80::1", false, false, true, false},
      {"febf::1", false, false, true, false},
      {"fec0::1", false, false, false, false},
      {"224.0.0.1", false, false, false, true},
      {"239.255.255.255", false, false, false, true},
      {"240.0.0.1", false, false, false, false},
      {"255.255.255.255", false, false, false, true},
      {"223.255.255.255", false, false, false, false},
      {"ff02::1", false, false, false, true},
      {"10.1.2.3", false, false, false, false},
      {"::ffff:169.254.0.1", false, false, true, false},
      {"::ffff:224.0.0.1", false, false, false, true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const IpAddress address = ip(row.text);
    CHECK(address.is_loopback() == row.loopback);
    CHECK(address.is_unspecified() == row.unspecified);
    CHECK(address.is_link_local() == row.link_local);
    CHECK(address.is_multicast() == row.multicast);
  }
}

TEST_CASE("endpoints are read with a port and printed the same way") {
  for (const char* same : {"10.0.0.1:80", "[::1]:7946", "0.0.0.0:0", "10.0.0.1:65535"}) {
    const auto endpoint = Endpoint::parse(same);
    REQUIRE(endpoint.has_value());
    CHECK(text(*endpoint) == same);
  }
  CHECK(text(Endpoint{ip("::ffff:10.0.0.1"), 80}) == "10.0.0.1:80");
}

TEST_CASE("what is no endpoint is none") {
  for (const std::string_view bad :
       {"", ":", "10.0.0.1", "10.0.0.1:", ":80", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:+1", "10.0.0.1:8o",
        "10.0.0.1: 80", "::1:80", "[::1]", "[::1]80", "[::1:80", "::1]:80", "host:80", "[]:80"}) {
    CAPTURE(bad);
    CHECK_FALSE(Endpoint::parse(bad).has_value());
  }
}

TEST_CASE("a range holds what its leading bits say, in the same family, v4-mapped addresses as v4") {
  struct {
    const char *range, *address;
    bool inside;
  } const rows[] = {
      {"10.0.0.0/8", "10.255.255.255", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"10.0.0.0/9", "10.127.0.1", true},
      {"10.0.0.0/9", "10.128.0.1", false},
      {"10.1.2.3/8", "10.9.9.9", true},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1", "10.0.0.0", false},
      {"10.0.0.1/32", "10.0.0.1", true},
      {"10.0.0.0/31", "10.0.0.1", true},
      {"10.0.0.0/31", "10.0.0.2", false},
      {"2001:db8::/32", "2001:db8:ffff::1", true},
      {"2001:db8::/32", "2001:db9::1", false},
      {"::1", "::1", true},
      {"::/0", "::1", true},
      {"::/0", "10.0.0.1", false},
      {"10.0.0.0/8", "::ffff:10.9.9.9", true},
      {"::ffff:10.0.0.0/104", "10.9.9.9", true},
      {"::ffff:10.0.0.0/104", "11.0.0.1", false},
      {"::ffff:10.0.0.1", "10.0.0.1", true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.range);
    CAPTURE(row.address);
    const auto range = Cidr::parse(row.range);
    REQUIRE(range.has_value());
    CHECK(range->contains(ip(row.address)) == row.inside);
  }
}

TEST_CASE("what is no range is none") {
  for (const std::string_view bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/a",
                                     "::/129", "10.0.0/8", "10.0.0.0 /8", "10.0.0.0/ 8"}) {
    CAPTURE(bad);
    CHECK_FALSE(Cidr::parse(bad).has_value());
  }
}

TEST_CASE("no address is in no range, not even in that of all") {
  CHECK_FALSE(Cidr::parse("0.0.0.0/0")->contains(IpAddress{}));
  CHECK_FALSE(Cidr::parse("::/0")->contains(IpAddress{}));
}

}  // namespace
}  // namespace shoal
