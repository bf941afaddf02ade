// Runs of the sidecar's core whose every option is drawn from the seed: how many HAProxies of which version, how slow
// and torn their sockets are, which faults may happen and how often. Some faults are switched off in each run, so that
// the others get their turn alone. After the faults have ended HAProxy has to hold what the tasks say, and be left
// alone.
#pragma once

#include <array>
#include <string>

#include "sim/sidecar_checkers.h"
#include "sim/sidecar_plants.h"

namespace shoal::test {

enum class SidecarFault : std::uint8_t {
  // Tasks.
  kBegin,
  kUnready,
  kReady,
  kDepart,
  kWeight,
  kWorkerDies,
  kTaskDies,
  kHostDies,
  kNewStart,
  kMoves,
  kPlaceTaken,
  kPlaceShared,
  kOldWord,
  kWish,
  kStorm,
  // Gossip.
  kFailsWrongly,
  kSuspect,
  kForgotten,
  // HAProxy.
  kKill,
  kReload,
  kWedge,
  kSlotsTaken,
  kBreak,
  kDenied,
  // The sidecar.
  kSidecarDies,
  kSidecarPauses,
  // Other hands.
  kForeign,
  kOperator,
  kOperatorUndoes,
  kIdTaken,
  kCount,
};
[[nodiscard]] std::string_view to_text(SidecarFault fault);

struct SidecarSwarmOptions {
  WorldOptions world;
  bool has_slots = false;  // The second pool takes no servers at run time, and has slots.
  std::size_t tasks = 0;   // At the start.
  std::array<std::uint32_t, static_cast<std::size_t>(SidecarFault::kCount)> weights{};  // 0 = never.
  std::size_t faults = 0;
  Duration gap_max{};   // Between two faults.
  Duration down_max{};  // Of HAProxy and the sidecar.
  Duration wedge_max{};
};

[[nodiscard]] SidecarSwarmOptions sidecar_swarm_options(std::uint64_t seed);
/// One line for people.
[[nodiscard]] std::string to_text(const SidecarSwarmOptions& options);

struct SidecarOutcome {
  std::string failure;  // Empty = all was well.
  std::uint64_t digest = 0;
  Duration virtual_time{};
  std::uint64_t lines = 0;  // To HAProxy's sockets.
  std::uint64_t requests = 0;
  std::uint64_t accepted = 0, drained = 0;
  [[nodiscard]] bool ok() const { return failure.empty(); }
};

[[nodiscard]] SidecarOutcome run_sidecar_swarm(std::uint64_t seed, const SidecarPlant* plant = nullptr,
                                               WorldObserver* watch = nullptr);

}  // namespace shoal::test
