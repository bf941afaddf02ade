#include "base/result.h"

#include <doctest/doctest.h>

#include <memory>

namespace shoal {
namespace {

TEST_CASE("a result is a value or the reason why there is none") {
  Result<int> good = 42;
  CHECK(good.ok());
  CHECK(good);
  CHECK(*good == 42);
  *good += 1;
  CHECK(good.value() == 43);
  const Result<int> bad = Error{13, "gossip.bind: permission denied"};
  CHECK_FALSE(bad.ok());
  CHECK(bad.error().code == 13);
  CHECK(bad.error().message == "gossip.bind: permission denied");
}

TEST_CASE("a result carries what can only be moved") {
  Result<std::unique_ptr<int>> made = std::make_unique<int>(7);
  REQUIRE(made.ok());
  const std::unique_ptr<int> taken = std::move(*made);
  CHECK(*taken == 7);
}

TEST_CASE("a result without a value is good unless it has an error") {
  const Result<void> good;
  CHECK(good.ok());
  const Result<void> bad = Error{0, "no"};
  CHECK_FALSE(bad.ok());
  CHECK(bad.error().message == "no");
}

}  // namespace
}  // namespace shoal
