#include "sim/sidecar_digests.h"

#include <cstdio>

#include "sim/sidecar_swarm.h"

namespace shoal::test {

std::string sidecar_digests() {
  std::string out;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    const SidecarOutcome outcome = run_sidecar_swarm(seed);
    char text[100];
    std::snprintf(text, sizeof text, "swarm %-4llu %016llx %8llu lines\n", static_cast<unsigned long long>(seed),
                  static_cast<unsigned long long>(outcome.digest), static_cast<unsigned long long>(outcome.lines));
    out += text;
  }
  return out;
}

}  // namespace shoal::test
