// The snapshot on disk: serf/snapshot.h decides, this reads and writes. A directory that cannot be written to costs one
// warning; the program goes on without.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "reactor/file.h"
#include "reactor/loop.h"
#include "serf/outbox.h"
#include "serf/snapshot.h"

namespace shoal::app {

class SnapshotFile {
 public:
  SnapshotFile(reactor::Loop& loop, Log& log);

  /// Reads what an earlier life wrote into DIR/ROLE.snapshot and goes on writing there. An empty `dir`: does nothing,
  /// ever.
  void open(const std::string& dir, std::string_view role, std::size_t members_max);
  /// Whom the file knew to be alive; no order.
  [[nodiscard]] const std::vector<Endpoint>& known() const { return known_; }
  [[nodiscard]] const serf::SnapshotClocks& clocks() const { return clocks_; }

  // From here on: what has happened. Our own membership is not written: nobody joins himself.
  void on_member_alive(std::string_view name, const Endpoint& endpoint);
  void on_member_gone(std::string_view name);
  void on_clocks(const serf::SnapshotClocks& clocks);
  /// A graceful leave begins: the next start does not come back by this file.
  void leave();
  /// What waits is written now. Nothing may follow.
  void close();

 private:
  void pump();
  [[nodiscard]] Result<void> carry_out(const serf::SnapshotEffect& effect);

  reactor::Loop& loop_;
  Log& log_;
  std::string path_;
  reactor::AppendFile file_;
  reactor::AppendFile compacted_;
  std::unique_ptr<serf::SnapshotWriter> writer_;  // None: off, or the directory cannot be used.
  std::vector<Endpoint> known_;
  serf::SnapshotClocks clocks_;
  bool failing_ = false;
  reactor::Timer timer_;
};

}  // namespace shoal::app
