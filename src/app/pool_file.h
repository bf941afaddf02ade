// The last good pool on disk (haproxy.state_file): read once at the start, written anew some seconds after the pool has
// changed. A file that cannot be written costs one warning; the sidecar goes on without.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/log.h"
#include "reactor/loop.h"
#include "sidecar/core.h"

namespace shoal::app {

class PoolFile {
 public:
  /// Older than this nobody's place is sure to be his any more: then it is not used.
  static constexpr Duration kAgeMost = 10min;
  /// Between two writings, so that a storm of changes costs few.
  static constexpr Duration kWriteEvery = 5s;
  /// An unchanged pool is written so often, so that its age says when the sidecar was last alive.
  static constexpr Duration kRefreshEvery = 1min;

  PoolFile(reactor::Loop& loop, Log& log) : loop_(loop), log_(log), timer_(loop, [this] { pump(); }) {}

  /// What an earlier life wrote; empty when there is nothing usable. An empty path: none, and nothing is ever written.
  [[nodiscard]] std::vector<sidecar::LastServer> open(const std::string& path, std::size_t servers_max);
  /// Writes what `core` wants from now on. It outlives this object's use.
  void follow(const sidecar::Core& core);
  /// Writes once more.
  void close();

 private:
  void pump();
  void write();

  reactor::Loop& loop_;
  Log& log_;
  std::string path_;
  const sidecar::Core* core_ = nullptr;
  std::uint64_t written_changes_ = 0;
  Instant refresh_at_{};
  bool failing_ = false;
  reactor::Timer timer_;
};

}  // namespace shoal::app
