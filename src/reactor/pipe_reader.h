// The reading end of a pipe that a child writes to.
#pragma once

#include <functional>

#include "base/bytes.h"
#include "reactor/handle.h"

namespace shoal::reactor {

class PipeReader {
 public:
  /// Called while there is something to read, or the end to be seen, unless paused.
  PipeReader(Loop& loop, std::function<void()> on_readable);

  /// Makes a pipe and gives the end that is written to: blocking, close-on-exec. REQUIRES: not open.
  [[nodiscard]] Result<OwnedFd> open();
  /// What is there now, at most so much; 0 = nothing. At the end of the pipe, when every writer is gone, closes itself.
  [[nodiscard]] std::size_t read(MutableBytes into);
  void pause(bool paused);
  void close() { watch_.close(); }
  [[nodiscard]] bool is_open() const { return watch_.is_open(); }

 private:
  std::function<void()> on_readable_;
  Watch watch_;
};

}  // namespace shoal::reactor
