#include "swim/profile.h"

#include <doctest/doctest.h>

#include <string>

namespace shoal::swim {
namespace {

constexpr Versions kVersions{1, 5, 2, 2, 5, 4};

TEST_CASE("a profile gives back what it was made of, the address with the bytes that it had") {
  TextStore texts(4);
  for (const char* host : {"10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"}) {
    CAPTURE(host);
    const Endpoint endpoint{*IpAddress::parse(host), 0xab12};
    const Profile profile(texts, endpoint, kVersions, as_bytes("tags"));
    CHECK(profile.endpoint() == endpoint);
    CHECK(same_bytes(profile.address(), endpoint.addr.raw()));
    CHECK(profile.port() == 0xab12);
    CHECK(profile.versions() == kVersions);
    CHECK(as_text(profile.meta()) == "tags");
  }
  CHECK(texts.size() == 0);
}

TEST_CASE("the longest tags fit, and so do none") {
  TextStore texts(2);
  const Endpoint endpoint{*IpAddress::parse("2001:db8::7"), 1};
  const std::string most(kMetaBytesMax, 'm');
  CHECK(as_text(Profile(texts, endpoint, kVersions, as_bytes(most)).meta()) == most);
  const Profile none(texts, endpoint, kVersions, {});
  CHECK(none.meta().empty());
  CHECK(none.endpoint() == endpoint);
}

TEST_CASE("two who know the same of a node hold one text") {
  TextStore texts(2);
  const Endpoint endpoint{IpAddress::v4(10, 0, 0, 1), 7946};
  const Profile a(texts, endpoint, kVersions, as_bytes("x"));
  const Profile b(texts, endpoint, kVersions, as_bytes("x"));
  CHECK(texts.size() == 1);
  const Profile c(texts, endpoint, kVersions, as_bytes("y"));
  CHECK(texts.size() == 2);
}

TEST_CASE("nobody's profile has no address, no tags, and versions that nobody can live with") {
  const Profile nobody;
  CHECK(nobody.endpoint() == Endpoint{});
  CHECK(nobody.address().empty());
  CHECK(nobody.port() == 0);
  CHECK(nobody.versions() == Versions{});
  CHECK(nobody.meta().empty());
}

}  // namespace
}  // namespace shoal::swim
