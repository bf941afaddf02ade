#include "haproxy/versions.h"

#include <doctest/doctest.h>

using namespace shoal::haproxy;

TEST_CASE("The version is read from every form of HAProxy's text") {
  CHECK(parse_version("2.6.12-1+deb12u4") == Version{2, 6});
  CHECK(parse_version("3.4.0") == Version{3, 4});
  CHECK(parse_version("2.8.3-86e043a") == Version{2, 8});
  CHECK(parse_version("2.6.0-1.0.0-289.542") == Version{2, 6});
  CHECK(parse_version("10.11") == Version{10, 11});
  CHECK(parse_version("3.1+fork") == Version{3, 1});
}

TEST_CASE("A development version counts as the version before it, because it may lack what that one brings") {
  CHECK(parse_version("3.1-dev4") == Version{3, 0});
  CHECK(parse_version("3.0-dev5-0e6b49") == Version{2, 9});
  CHECK(parse_version("0.0-dev1") == Version{0, 9});
  CHECK(traits_of("3.1-dev4").gate == Gate::kByHand);
}

TEST_CASE("What is no version is refused, and then 2.6's ways are taken") {
  for (const char* text : {"", "2", "2.", ".6", "a.b", "2.x", "2.6beta", "-2.6", "65536.1", "2.65536"}) {
    CAPTURE(text);
    CHECK(!parse_version(text));
    CHECK(traits_of(text).since == Version{2, 6});
  }
}

TEST_CASE("Each version gets what it can do") {
  const auto at = [](const char* version) { return traits_of(version); };
  for (const char* version : {"1.9.16", "2.2.0", "2.3.21"}) {
    CHECK(!at(version).dynamic_servers);
    CHECK(at(version).fault.find("before 2.4") != std::string_view::npos);
  }
  CHECK(at("2.4.0").dynamic_servers);
  CHECK(at("2.4.24").experimental);
  CHECK(at("2.5.14").experimental);
  CHECK(!at("2.6.0").experimental);
  CHECK(!at("2.4.24").checks);
  CHECK(at("2.5.0").checks);
  for (const char* version : {"2.4.9", "2.6.12", "2.8.1", "2.9.0", "3.0.3"}) CHECK(at(version).gate == Gate::kByHand);
  for (const char* version : {"3.1.0", "3.2.4", "3.4.0", "4.0.0"}) CHECK(at(version).gate == Gate::kInitState);
  CHECK(!at("2.9.15").cookie);
  CHECK(at("3.0.0").cookie);
  CHECK(!at("2.9.15").wait);
  CHECK(at("3.0.0").wait);
  CHECK(at("2.6.12").quarantine);
  CHECK(at("2.9.15").quarantine);
  CHECK(!at("3.0.0").quarantine);
  CHECK(at("2.9.15").needs_pool);
  CHECK(!at("3.0.0").needs_pool);
}

TEST_CASE("A version with a known fault has words for it, that end with what to do") {
  CHECK(traits_of("2.4.1").fault.find("haproxy.server_options") != std::string_view::npos);
  CHECK(traits_of("2.5.1").fault.find("update") != std::string_view::npos);
  CHECK(traits_of("2.6.12").fault.find("update") != std::string_view::npos);
  CHECK(traits_of("2.8.0").fault == traits_of("2.6.12").fault);
  CHECK(traits_of("3.0.0").fault.empty());
  CHECK(traits_of("3.4.0").fault.empty());
}
