#include "base/backoff.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

TEST_CASE("the first restart comes at once, the next ones after 1 s doubling to 30 s, each with jitter") {
  Rng rng(1);
  Backoff backoff;
  for (const Duration wanted : {Duration(50ms), Duration(1s), Duration(2s), Duration(4s), Duration(8s), Duration(16s),
                                Duration(30s), Duration(30s)}) {
    const Duration wait = backoff.next(Duration(59s), rng);
    CHECK(wait >= wanted * 3 / 4);
    CHECK(wait <= wanted * 5 / 4);
  }
  Backoff one;
  Backoff other;
  CHECK(one.next({}, rng) != other.next({}, rng));
}

TEST_CASE("after a minute up it begins anew") {
  Rng rng(1);
  Backoff backoff;
  for (int i = 0; i < 5; ++i) static_cast<void>(backoff.next({}, rng));
  CHECK(backoff.next(Duration(60s), rng) < Duration(100ms));
  CHECK(backoff.next(Duration(5s), rng) < Duration(1300ms));
}

}  // namespace
}  // namespace shoal
