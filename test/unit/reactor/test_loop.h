// A loop that runs until something is so, and never longer than a few seconds.
#pragma once

#include <functional>

#include "reactor/loop.h"

namespace shoal::reactor {

class TestLoop {
 public:
  TestLoop() {
    loop.at_end_of_turn([this] {
      if (done_ && done_()) loop.stop();
    });
  }

  /// False when `limit` passed first.
  [[nodiscard]] bool run_until(std::function<bool()> done, Duration limit = 3s) {
    bool late = false;
    Timer timer(loop, [&] {
      late = true;
      loop.stop();
    });
    loop.refresh();
    timer.at(loop.now() + limit);
    done_ = std::move(done);
    loop.run();
    done_ = nullptr;
    return !late;
  }
  void run_for(Duration duration) {
    (void)run_until([] { return false; }, duration);
  }

  Loop loop;

 private:
  std::function<bool()> done_;
};

}  // namespace shoal::reactor
