// Runs whose every option is drawn from the seed: how large, which profile, which faults may happen and how often, what
// the cluster is used for. Some faults are switched off in each run, so that the others get their turn alone. After the
// faults have ended the cluster has to agree and to become quiet.
#pragma once

#include <array>
#include <string>

#include "sim/plants.h"
#include "sim/scenarios.h"

namespace shoal::test {

enum class Fault : std::uint8_t {
  kCrash,
  kRestart,
  kRestartElsewhere,
  kNewName,
  kLeave,
  kPause,
  kSlow,
  kCutPair,
  kIsolate,
  kHalves,
  kOneWay,
  kUdpBlocked,
  kLossAtNode,
  kLossEverywhere,
  kHeal,
  kSkipClock,
  kTags,
  kUserEvent,
  kQuery,
  kDirectQuery,
  kCount,
};
[[nodiscard]] std::string_view to_text(Fault fault);

struct SwarmOptions {
  ClusterOptions cluster;
  std::string profile;
  std::uint32_t stream_break_ppm = 0;
  std::array<std::uint32_t, static_cast<std::size_t>(Fault::kCount)> weights{};  // 0 = never.
  std::size_t faults = 0;
  Duration gap_max{};  // Between two faults.
  Duration pause_max{};
};

[[nodiscard]] SwarmOptions swarm_options(std::uint64_t seed);
/// One line for people.
[[nodiscard]] std::string to_text(const SwarmOptions& options);
/// The largest number of steps of a run: more is a failure of its own.
inline constexpr std::uint64_t kStepsMax = 5'000'000;
[[nodiscard]] Outcome run_swarm(std::uint64_t seed, const Plant* plant = nullptr, Observer* watch = nullptr);

}  // namespace shoal::test
