// The sidecar's core on fixed seeds, and the proof that the checkers find what is planted. A failure prints the line
// that repeats it.
#include "sim/sidecar_swarm.h"

#include <doctest/doctest.h>

#include <cstdio>

#include "sim/sidecar_digests.h"

namespace shoal::test {
namespace {

void check(std::uint64_t first, std::uint64_t last) {
  std::uint64_t accepted = 0, drained = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    CAPTURE("again: sim-sidecar swarm --seeds " + std::to_string(seed));
    CAPTURE(to_text(sidecar_swarm_options(seed)));
    const SidecarOutcome outcome = run_sidecar_swarm(seed);
    CHECK(outcome.failure == "");
    accepted += outcome.accepted;
    drained += outcome.drained;
  }
  // The runs are about something.
  CHECK(accepted > 5 * (last - first));
  CHECK(drained > last - first);
}

TEST_CASE("sidecar seeds, first hundred") { check(1, 100); }
TEST_CASE("sidecar seeds, second hundred") { check(101, 200); }
TEST_CASE("sidecar seeds, third hundred") { check(201, 300); }
TEST_CASE("sidecar seeds, fourth hundred") { check(301, 400); }

TEST_CASE("the sidecar's swarm draws every fault within its first hundred seeds") {
  std::array<int, static_cast<std::size_t>(SidecarFault::kCount)> drawn{};
  int two = 0, new_version = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const SidecarSwarmOptions options = sidecar_swarm_options(seed);
    for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] += options.weights[i] > 0 ? 1 : 0;
    two += options.world.hosts.size() == 2 ? 1 : 0;
    new_version += options.world.hosts[0].version != HaproxyVersion::k26 ? 1 : 0;
  }
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    CAPTURE(to_text(static_cast<SidecarFault>(i)));
    CHECK(drawn[i] > 0);
  }
  CHECK(two > 0);
  CHECK(new_version > 0);
}

TEST_CASE("canary: the sidecar's swarm finds every planted fault, and by the checker that is there for it") {
  for (const SidecarPlant& plant : sidecar_plants()) {
    CAPTURE(plant.name);
    bool was_found = false;
    for (std::uint64_t seed = 1; seed <= 60 && !was_found; ++seed) {
      was_found = found(plant, run_sidecar_swarm(seed, &plant).failure);
    }
    CHECK(was_found);
  }
}

TEST_CASE("equal seeds give equal runs of the sidecar, also beside other runs, and other seeds other runs") {
  const SidecarOutcome first = run_sidecar_swarm(5);
  CHECK(run_sidecar_swarm(6).digest != first.digest);
  CHECK(run_sidecar_swarm(5).digest == first.digest);
}

TEST_CASE("the sidecar's digests are those that are written down, whatever compiler built this") {
  std::string written;
  if (std::FILE* file = std::fopen(SHOAL_SIDECAR_DIGESTS, "rb")) {
    char memory[4096];
    for (std::size_t n = 0; (n = std::fread(memory, 1, sizeof memory, file)) > 0;) written.append(memory, n);
    static_cast<void>(std::fclose(file));
  }
  CHECK_MESSAGE(sidecar_digests() == written, "renew them by: sim-sidecar digests > test/sim/sidecar_digests.txt");
}

}  // namespace
}  // namespace shoal::test
