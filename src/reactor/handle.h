// Readiness of one descriptor: what every socket of this folder stands on.
//
// libuv wants a handle's memory until its close callback, some time after uv_close. Here that memory belongs to the
// loop (a fixed pool), so that a Watch can be closed and reused, or destroyed, at once.
#pragma once

#include "base/result.h"
#include "reactor/fd.h"
#include "reactor/loop.h"

namespace shoal::reactor {

struct PollNode;

class Watch {
 public:
  /// What the descriptor is ready for. After an error or a hang-up both are set: the next read or write tells.
  struct Ready {
    bool read = false;
    bool write = false;
  };
  using Callback = void (*)(void* context, Ready ready);

  Watch(Loop& loop, Callback callback, void* context) : loop_(loop), callback_(callback), context_(context) {}
  ~Watch() { close(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// Takes the descriptor, which becomes non-blocking. REQUIRES: not open. After an error it has been closed.
  [[nodiscard]] Result<void> open(OwnedFd fd);
  /// The same for a descriptor that stays somebody else's; `close` then leaves it open.
  [[nodiscard]] Result<void> borrow(int fd);
  /// Which readiness is called back for. Cheap when nothing changes.
  void want(bool read, bool write);
  /// No callback comes after this.
  void close();

  [[nodiscard]] bool is_open() const { return node_ != nullptr; }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] const Loop& loop() const { return loop_; }

 private:
  friend struct PollNode;
  [[nodiscard]] Result<void> attach(int fd);

  Loop& loop_;
  Callback callback_;
  void* context_;
  PollNode* node_ = nullptr;
  int fd_ = -1;
  bool owned_ = false;
  bool read_ = false;
  bool write_ = false;
};

}  // namespace shoal::reactor
