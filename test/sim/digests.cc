#include "sim/digests.h"

#include <cstdio>

#include "sim/swarm.h"

namespace shoal::test {

std::string digests() {
  std::string out;
  const auto line = [&out](const std::string& what, const Outcome& outcome) {
    char text[200];
    std::snprintf(text, sizeof text, "%-32s %016llx %8llu datagrams\n", what.c_str(),
                  static_cast<unsigned long long>(outcome.digest), static_cast<unsigned long long>(outcome.packets));
    out += text;
  };
  for (const char* name : {"kill-several", "rolling-replacement", "bad-network", "uneven-clocks", "crash-wan"}) {
    line("scenario " + std::string(name), run_scenario(*find_scenario(name), 1));
  }
  for (std::uint64_t seed = 1; seed <= 12; ++seed) line("swarm " + std::to_string(seed), run_swarm(seed));
  return out;
}

}  // namespace shoal::test
