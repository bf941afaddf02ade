// libuv's side of the loop. For loop.cc and handle.cc only; no public header includes this.
#pragma once

#include <uv.h>

#include "base/containers.h"
#include "reactor/handle.h"
#include "reactor/loop.h"

namespace shoal::reactor {

/// One libuv poll handle. Belongs to the loop: a Watch borrows it, and it comes back to the free list in libuv's close
/// callback.
struct PollNode {
  static void on_poll(uv_poll_t* handle, int status, int events);
  static void on_close(uv_handle_t* handle);
  void apply(bool read, bool write);

  uv_poll_t handle{};
  Watch* watch = nullptr;  // Null while free or closing.
  Loop::Impl* impl = nullptr;
  PollNode* next_free = nullptr;
};

struct Loop::Impl {
  Impl(Loop& owner, const Options& options);

  [[nodiscard]] PollNode* take_node();

  Loop& loop;
  uv_loop_t uv{};
  uv_timer_t wake{};          // Only wakes: the timers themselves are called at the end of the turn.
  uv_check_t check{};         // The end of the turn.
  uv_idle_t at_once{};        // While it runs, polling does not sleep.
  std::uint64_t wake_ms = 0;  // When `wake` is armed for, in libuv's milliseconds; 0 = not armed.
  std::uint64_t events = 0;   // Descriptor callbacks of this turn.
  std::size_t nodes_open = 0;
  FixedVector<PollNode> nodes;
  PollNode* free_nodes = nullptr;
  Ring<std::function<void()>> posts;
  FixedVector<std::function<void()>> hooks;
};

}  // namespace shoal::reactor
