// worker.log = "wrap": what the worker writes comes through pipes, and each line becomes one of shoal's own, with
// stream and pid. The worker waits for the reader of shoal's log a tenth of the time at most; what does not fit then is
// dropped, counted and said. With "inherit" nothing of this exists: the worker has shoal's own descriptors.
#pragma once

#include <sys/types.h>

#include <memory>
#include <vector>

#include "app/process.h"
#include "config/config.h"
#include "reactor/loop.h"
#include "reactor/pipe_reader.h"
#include "task/line_log.h"

namespace shoal::app {

class WorkerOutput {
 public:
  /// `workers_max`: so many can be heard at the same time. One more takes the place of the oldest, whose descendants
  /// then write to nobody.
  WorkerOutput(reactor::Loop& loop, config::WorkerLog how, ProcessLog& log, std::size_t workers_max);

  /// The worker's descriptors 1 and 2; not open where it has shoal's own.
  struct Ends {
    reactor::OwnedFd out;
    reactor::OwnedFd err;
  };
  /// For a worker that is about to be started; `started` tells its pid then.
  [[nodiscard]] Ends open();
  void started(pid_t pid);

  /// For the way out: what is left in the pipes is read out and written on, for a bounded time.
  void finish();

 private:
  struct Worker;
  struct Stream {
    Stream(WorkerOutput& all, const Worker& whose, const char* stream_name);
    const Worker& worker;
    const char* name;
    reactor::PipeReader reader;
    task::LineSplitter splitter;
    Buffer memory;
    Bytes unread;  // In `memory`.
    Instant last_read{};
  };
  struct Worker {
    explicit Worker(WorkerOutput& all) : out(all, *this, "stdout"), err(all, *this, "stderr") {}
    pid_t pid = 0;
    std::uint64_t order = 0;
    Stream out;
    Stream err;
  };

  void on_readable(Stream& stream);
  /// Lines from what was read. False when the worker is to wait.
  bool tell_unread(Stream& stream);
  void tell(const Stream& stream, const task::LineSplitter::Piece& piece);
  void tell_rest(Stream& stream, bool ended);
  [[nodiscard]] bool has_room() const;
  void on_timer();
  void arm();
  void report();
  Worker& take_place();
  template <typename F>
  void for_each_stream(F&& f);

  reactor::Loop& loop_;
  ProcessLog& log_;
  std::vector<std::unique_ptr<Worker>> workers_;
  task::LogPace pace_;
  reactor::Timer timer_;
  Worker* latest_ = nullptr;
  std::uint64_t opened_ = 0;
  bool paused_ = false;
  bool finishing_ = false;
};

}  // namespace shoal::app
