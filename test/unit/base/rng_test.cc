#include "base/rng.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace shoal {
namespace {

TEST_CASE("the first numbers of two seeds are what they have always been, on every compiler") {
  Rng zero(0), other(20260101);
  const std::uint64_t of_zero[] = {0x99ec5f36cb75f2b4ULL, 0xbf6e1f784956452aULL, 0x1a5f849d4933e6e0ULL,
                                   0x6aa594f1262d2d2cULL, 0xbba5ad4a1f842e59ULL};
  const std::uint64_t of_other[] = {0x57e28e0407eb6adeULL, 0xae12aadc7d2056a3ULL, 0x007b518906d1df4fULL,
                                    0x98342917c27b3aebULL, 0xf45e8be7ae5ccf84ULL};
  for (const std::uint64_t expected : of_zero) CHECK(zero.next() == expected);
  for (const std::uint64_t expected : of_other) CHECK(other.next() == expected);
}

TEST_CASE("below stays below, reaches every value, and does so evenly") {
  Rng rng(1);
  CHECK(rng.below(std::uint64_t{0}) == 0);
  CHECK(rng.below(std::uint64_t{1}) == 0);
  constexpr std::size_t kBound = 10, kDraws = 100'000;
  std::array<std::size_t, kBound> count{};
  for (std::size_t i = 0; i < kDraws; ++i) {
    const std::uint64_t value = rng.below(std::uint64_t{kBound});
    REQUIRE(value < kBound);
    ++count[value];
  }
  double chi = 0;
  for (const std::size_t n : count) {
    const double off = static_cast<double>(n) - kDraws / kBound;
    chi += off * off / (kDraws / kBound);
  }
  CHECK(chi < 30.0);  // 9 degrees of freedom: over this once in 2,000 seeds.
}

TEST_CASE("a bound just over half of all numbers is even as well") {
  // Without rejection the low half would come twice as often as the rest.
  Rng rng(2);
  const std::uint64_t bound = (std::uint64_t{3} << 62);
  std::size_t low = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::uint64_t value = rng.below(bound);
    REQUIRE(value < bound);
    low += value < (std::uint64_t{1} << 62) ? 1 : 0;
  }
  CHECK(low > 9'500);
  CHECK(low < 10'500);
}

TEST_CASE("durations are drawn below their bound, and none below nothing") {
  Rng rng(3);
  CHECK(rng.below(Duration{}) == Duration{});
  CHECK(rng.below(Duration(-5)) == Duration{});
  for (int i = 0; i < 1000; ++i) {
    const Duration d = rng.below(Duration(10ms));
    CHECK(d >= Duration{});
    CHECK(d < 10ms);
  }
}

TEST_CASE("jitter stays between 75 and 125 percent and uses the whole of it") {
  Rng rng(4);
  Duration least = 1h, most{};
  for (int i = 0; i < 2000; ++i) {
    const Duration d = rng.jittered(1s);
    least = std::min(least, d);
    most = std::max(most, d);
  }
  CHECK((least >= 750ms && least < 760ms));
  CHECK((most < 1250ms && most > 1240ms));
  CHECK(rng.jittered(Duration{}) == Duration{});
}

TEST_CASE("chances are as large as they say, and none and all are certain") {
  Rng rng(5);
  std::size_t hits = 0, ones = 0;
  for (int i = 0; i < 100'000; ++i) {
    hits += rng.chance_ppm(250'000) ? 1 : 0;
    ones += rng.one_in(5) ? 1 : 0;
    CHECK_FALSE(rng.chance_ppm(0));
    CHECK(rng.chance_ppm(1'000'000));
  }
  CHECK((hits > 24'500 && hits < 25'500));
  CHECK((ones > 19'500 && ones < 20'500));
}

TEST_CASE("a shuffle keeps every value and puts each at each place about equally often") {
  std::array<std::array<int, 4>, 4> count{};
  Rng rng(6);
  for (int round = 0; round < 10'000; ++round) {
    std::array<std::uint32_t, 4> values = {0, 1, 2, 3};
    rng.shuffle(std::span<std::uint32_t>(values));
    auto sorted = values;
    std::sort(sorted.begin(), sorted.end());
    REQUIRE(sorted == std::array<std::uint32_t, 4>{0, 1, 2, 3});
    for (std::size_t place = 0; place < 4; ++place) ++count[values[place]][place];
  }
  for (const auto& places : count) {
    for (const int n : places) CHECK((n > 2'300 && n < 2'700));
  }
}

TEST_CASE("a fork goes its own way and equal seeds give equal forks") {
  Rng a(7), b(7);
  Rng fork_a = a.fork(), fork_b = b.fork();
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t next = fork_a.next();
    CHECK(next == fork_b.next());
    CHECK(next != a.next());
    b.next();
  }
}

}  // namespace
}  // namespace shoal
