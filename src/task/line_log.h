// For worker.log = "wrap": the worker's words cut into lines, and how long the worker may be made to wait when they
// cannot be written on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/containers.h"
#include "base/time.h"

namespace shoal::task {

/// One stream's bytes as lines. Fixed memory: a line longer than `bytes_max` comes in pieces, cut between UTF-8
/// characters; none of it is lost.
class LineSplitter {
 public:
  struct Piece {
    std::string_view text;  // Without the newline, and a carriage return before it. Good until the next call.
    bool partial = false;   // More of the same line follows.
  };

  explicit LineSplitter(std::size_t bytes_max) : memory_(bytes_max) {}

  /// Takes one piece from the front of `input`. Nothing: all of `input` has been taken, and what is unfinished is kept.
  std::optional<Piece> next(Bytes& input);
  /// What is unfinished, for when nobody is going on with it. `ended`: nothing will ever follow.
  std::optional<Piece> rest(bool ended);
  [[nodiscard]] bool has_rest() const { return size_ > told_; }

 private:
  [[nodiscard]] std::string_view kept() { return as_text(memory_.bytes()).substr(0, size_); }
  std::optional<Piece> finish(std::string_view text);
  std::optional<Piece> cut();
  void drop_told();

  Buffer memory_;
  std::size_t size_ = 0;
  std::size_t told_ = 0;  // From the front of what is kept: given out by the last call.
};

/// What happens when the lines cannot be written on: the worker may wait a little, so that a burst is not lost, but
/// never long; then its lines are dropped, and counted.
class LogPace {
 public:
  struct Options {
    Duration wait_most = 100ms;  // In each `window`.
    Duration window = 1s;
    Duration report_every = 1s;
  };
  struct Dropped {
    std::uint64_t lines = 0;
    std::uint64_t bytes = 0;
  };

  explicit LogPace(const Options& options) : options_(options) {}

  /// There is no room for another line. True: leave what the worker writes in its pipe for now. False: read it and drop
  /// it.
  [[nodiscard]] bool on_full(Instant now);
  void on_room(Instant now);
  void on_dropped(std::size_t bytes);

  /// What was dropped since the last report, when there is something to report and it is time to.
  [[nodiscard]] std::optional<Dropped> report(Instant now);
  [[nodiscard]] bool has_untold() const { return total_.lines != told_.lines; }
  [[nodiscard]] const Dropped& dropped() const { return total_; }

 private:
  void begin_window(Instant now);

  Options options_;
  Instant window_began_{};
  Duration waited_{};               // In this window, before waiting_since_.
  Instant waiting_since_ = kNever;  // No room since then.
  Instant reported_{};
  Dropped total_;
  Dropped told_;
};

}  // namespace shoal::task
