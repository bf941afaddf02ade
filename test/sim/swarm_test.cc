// The swarm on fixed seeds, and the proof that it finds what is planted. A failure prints the line that repeats it.
#include "sim/swarm.h"

#include <doctest/doctest.h>

namespace shoal::test {
namespace {

void check(std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    CAPTURE("again: sim swarm --seeds " + std::to_string(seed));
    CAPTURE(to_text(swarm_options(seed)));
    CHECK(run_swarm(seed).failure == "");
  }
}

TEST_CASE("swarm seeds, first sixty") { check(1, 60); }
TEST_CASE("swarm seeds, second sixty") { check(61, 120); }
TEST_CASE("swarm seeds, third sixty") { check(121, 180); }
TEST_CASE("swarm seeds, fourth sixty") { check(181, 240); }

TEST_CASE("the swarm draws every fault, profile and size within its first hundred seeds") {
  std::array<int, static_cast<std::size_t>(Fault::kCount)> drawn{};
  int lan = 0, local = 0, wan = 0, large = 0, small = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const SwarmOptions options = swarm_options(seed);
    for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] += options.weights[i] > 0 ? 1 : 0;
    lan += options.profile == "lan" ? 1 : 0;
    local += options.profile == "local" ? 1 : 0;
    wan += options.profile == "wan" ? 1 : 0;
    large += options.cluster.nodes > 20 ? 1 : 0;
    small += options.cluster.nodes == 2 ? 1 : 0;
  }
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    CAPTURE(to_text(static_cast<Fault>(i)));
    CHECK(drawn[i] > 0);
  }
  CHECK(lan > 0);
  CHECK(local > 0);
  CHECK(wan > 0);
  CHECK(large > 0);
  CHECK(small > 0);
}

TEST_CASE("canary: the swarm finds every planted fault, and by the checker that is there for it") {
  for (const Plant& plant : plants()) {
    CAPTURE(plant.name);
    bool was_found = false;
    for (std::uint64_t seed = 1; seed <= 20 && !was_found; ++seed) {
      was_found = found(plant, run_swarm(seed, &plant).failure);
    }
    CHECK(was_found);
  }
}

TEST_CASE("equal seeds give equal runs, also beside other runs, and other seeds other runs") {
  const Outcome first = run_swarm(5);
  const Outcome other = run_swarm(6);
  CHECK(run_swarm(5).digest == first.digest);
  CHECK(other.digest != first.digest);
}

}  // namespace
}  // namespace shoal::test
