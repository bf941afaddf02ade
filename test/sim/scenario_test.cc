// Every named scenario, each with two seeds. A failure prints the line that repeats it.
#include "sim/scenarios.h"

#include <doctest/doctest.h>

namespace shoal::test {
namespace {

void check(std::size_t part, std::size_t parts) {
  for (std::size_t i = part; i < scenarios().size(); i += parts) {
    const Scenario& scenario = scenarios()[i];
    for (const std::uint64_t seed : {1, 2}) {
      CAPTURE(std::string("again: sim scenario ") + scenario.name + " --seed " + std::to_string(seed));
      CHECK(run_scenario(scenario, seed).failure == "");
    }
  }
}

TEST_CASE("every scenario ends as it should, the first half") { check(0, 2); }
TEST_CASE("every scenario ends as it should, the second half") { check(1, 2); }

TEST_CASE("scenarios have names of their own") {
  for (const Scenario& scenario : scenarios()) CHECK(find_scenario(scenario.name) == &scenario);
}

}  // namespace
}  // namespace shoal::test
