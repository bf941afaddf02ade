// An operator's wish on its way to the task that it is for: found by its name, asked straight, again while there is no
// answer, and answered to the operator in any case.
//
//   0 s, 1 s   as a datagram
//   2 s        over TCP: UDP may be blocked
//   5 s        given up
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "announce/codec.h"
#include "app/gossip_driver.h"
#include "base/containers.h"
#include "reactor/loop.h"

namespace shoal::app {

/// The task that an operator means by `name`: a node's name, or a server's as shoal makes them,
/// PREFIX-NODE-START. Null when no member fits.
[[nodiscard]] const serf::Member* find_steered(const serf::Members& members, std::string_view name);

class Steering {
 public:
  /// `http_status` 200: the task keeps the wish, or stops. Else why not, and the fix.
  using Done = std::function<void(int http_status, std::string_view message)>;
  static constexpr std::size_t kOpenMax = 8;

  Steering(reactor::Loop& loop, GossipDriver& gossip);

  /// `task` is another node. False when too many are under way. `done` comes later, once.
  [[nodiscard]] bool begin(const serf::Member& task, const announce::Steering& wish, Done done);
  /// What GossipHandler::on_response was told; false when it is not for this class. A question that could not be sent
  /// needs no word: the next try comes, or the end.
  [[nodiscard]] bool on_response(std::uint64_t token, std::string_view from, Bytes payload);

 private:
  struct Open {
    std::uint64_t token = 0;  // 0 = free.
    Endpoint to;
    std::string node;
    announce::Steering wish;
    std::uint32_t tries = 0;
    Instant next;
    Done done;
  };
  void ask(Open& open);
  void on_deadline();
  void finish(Open& open, int http_status, std::string_view message);
  void arm();

  reactor::Loop& loop_;
  GossipDriver& gossip_;
  std::array<Open, kOpenMax> open_;
  std::uint64_t last_ = 0;
  reactor::Timer timer_;
};

}  // namespace shoal::app
