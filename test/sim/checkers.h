// What must hold in every run, whatever the scenario: each rule is an observer of its own that says what broke by
// Cluster::fail. They look at what leaves the cores (datagrams, streams, events) and, once a second, at the tables.
//
// What counts as "should have been seen" is derived in Bounds, one comment a term. A node is healthy while nothing is
// wrong with it (running, not frozen, not slow, its links whole); after trouble it is given Bounds::settle.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sim/cluster.h"

namespace shoal::test {

/// How long things may take with these timings and so many members.
struct Bounds {
  Bounds(const swim::Timing& timing, std::size_t members, Duration keep_interval);

  Duration suspicion_max;  // The longest suspicion: nobody confirms.
  Duration round;          // Until everybody has probed everybody: 2n - 1 probes, and one by a node that doubts itself.
  Duration spread;         // Until gossip, and what it missed by push/pull, has reached everybody.
  Duration settle;         // After trouble with a node: old suspicions of it are over, its refutation is everywhere.
  Duration converge;       // After all faults have ended: every view is right.
};

/// Sizes, and nothing that makes a Go peer crash or forget: each datagram and stream is opened again.
class PacketChecker final : public Observer {
 public:
  /// Opens one datagram in `one_in`; sizes are looked at always.
  explicit PacketChecker(std::uint32_t one_in = 1) : one_in_(one_in) {}
  void on_datagram(Cluster& cluster, std::size_t from, const Endpoint& to, Bytes datagram) override;
  void on_stream_write(Cluster& cluster, std::size_t from, Bytes bytes) override;

 private:
  std::uint32_t one_in_;
  std::uint32_t seen_ = 0;
  wire::PacketOpener opener_;
  std::vector<std::uint8_t> scratch_;
};

/// In no view does a node's incarnation go back, nor does a Lamport clock in a life.
class MonotonicChecker final : public Observer {
 public:
  /// Looks at the views of one node in `one_in`, the same ones always: each costs it a copy.
  explicit MonotonicChecker(std::size_t one_in = 1) : one_in_(one_in) {}
  void on_start(Cluster& cluster, std::size_t node) override;
  void on_second(Cluster& cluster) override;

 private:
  struct Seen {
    std::uint32_t incarnation = 0;
    Endpoint endpoint;
    Instant gone_since = kNever;
    std::uint64_t round = 0;
  };
  struct Viewer {
    std::unordered_map<std::string, Seen> seen;
    std::uint64_t clock = 0, event_clock = 0, query_clock = 0;
    std::uint64_t round = 0;
  };
  void look(Cluster& cluster, std::size_t node, Viewer& viewer);

  std::size_t one_in_;
  std::map<std::size_t, Viewer> viewers_;  // By node; forgotten when a life starts there.
};

/// Nobody is called failed who was healthy long enough, nor left who did not leave.
class VerdictChecker final : public Observer {
 public:
  explicit VerdictChecker(const Bounds& bounds) : bounds_(bounds) {}
  void on_member_event(Cluster& cluster, std::size_t node, serf::MemberEventKind kind, std::string_view about) override;
  /// Loss up to this is borne without a false verdict. With a fifth lost, about one ten-minute run of 16 nodes in ten
  /// has one: a suspicion reaches somebody whom the refutation, by chance, never does.
  static constexpr std::uint32_t kLossBornePpm = 100'000;
  /// The network as a whole was beyond that until then.
  Instant bad_network_until{};

 private:
  Bounds bounds_;
};

/// The two layers of a node agree about each member, and about itself.
class LayersChecker final : public Observer {
 public:
  /// Looks each second at one node in `one_in`, at others each time.
  explicit LayersChecker(std::size_t one_in = 1) : one_in_(one_in) {}
  void on_second(Cluster& cluster) override;

 private:
  std::size_t one_in_;
  std::size_t seconds_ = 0;
};

/// Nobody sends more than it was asked for plus its own budget; queues stay within what the members explain; nobody is
/// told of the same member over and over.
class RateChecker final : public Observer {
 public:
  explicit RateChecker(const Bounds& bounds) : bounds_(bounds) {}
  void on_member_event(Cluster& cluster, std::size_t node, serf::MemberEventKind kind, std::string_view about) override;
  void on_second(Cluster& cluster) override;

 private:
  struct Traffic {
    std::size_t life = ~std::size_t{0};
    std::uint64_t out = 0, in = 0;
    std::unordered_map<std::string, std::uint32_t> events;  // In this minute.
  };
  Bounds bounds_;
  std::map<std::size_t, Traffic> traffic_;
  std::uint64_t seconds_ = 0;
};

/// All of them, on one cluster.
class Checkers {
 public:
  /// `views_one_in`: of those checks that look at every member in a node's view. In a large cluster they cost far more
  /// than the cluster does.
  explicit Checkers(Cluster& cluster, std::uint32_t packets_one_in = 1, std::size_t views_one_in = 1);

  [[nodiscard]] const Bounds& bounds() const { return bounds_; }
  /// To be called when the whole network's loss changes.
  void note_loss(const Cluster& cluster);

  /// The end of a run, after all faults have ended: until every view is right, or fail() with the first that is not.
  /// What a view must be: the running are alive with their tags and addresses, those that left are left, those that
  /// ended otherwise are failed; who was forgotten is forgotten.
  void expect_convergence(Cluster& cluster);
  /// Nothing more happens for so long: no event, an idle load, empty queues.
  void expect_quiet(Cluster& cluster, Duration span);
  /// The first view that is not right, as text; empty = all are.
  [[nodiscard]] static std::string wrong_view(const Cluster& cluster);

 private:
  Bounds bounds_;
  PacketChecker packets_;
  MonotonicChecker monotonic_;
  VerdictChecker verdicts_;
  LayersChecker layers_;
  RateChecker rates_;
};

}  // namespace shoal::test
