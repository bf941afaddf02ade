// `serf join` by way of the RPC: addresses and names of members to join the cluster through, once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/gossip_driver.h"
#include "reactor/resolver.h"

namespace shoal::app {

class OperatorJoin {
 public:
  static constexpr std::size_t kAddressesMax = 32;
  static constexpr Duration kResolveMost = 5s;
  static constexpr Duration kMost = 20s;  // For all of it.

  /// `joined`: how many have been joined. `error`: empty when that is at least one, or nobody was
  /// named; else what went wrong with each.
  using Done = std::function<void(std::uint32_t joined, const std::string& error)>;

  OperatorJoin(reactor::Loop& loop, GossipDriver& gossip);

  /// HOST, HOST:PORT or srv:NAME each. `done` comes once, never inside this call. `replay`: user events from before it
  /// are told. REQUIRES: not busy.
  void begin(std::span<const std::string_view> addresses, bool replay, Done done);
  [[nodiscard]] bool busy() const { return done_ != nullptr; }
  void on_join(const serf::JoinEvent& join);

 private:
  enum class State : std::uint8_t { kResolving, kResolved, kJoining, kJoined, kFailed };
  struct Target {
    State state = State::kResolving;
    std::string text;
    std::vector<Endpoint> places;  // Those that have not been tried yet.
    Endpoint trying;
    std::string error;
  };

  void on_resolved(const reactor::Resolved& answer);
  void step();
  void try_next(Target& target);
  void finish();

  reactor::Loop& loop_;
  GossipDriver& gossip_;
  reactor::Resolver resolver_;
  reactor::Timer timer_;
  std::vector<Target> targets_;
  bool replay_ = false;
  std::uint64_t first_token_ = 1;  // Answers to questions of an earlier join are below it.
  Done done_;
};

}  // namespace shoal::app
