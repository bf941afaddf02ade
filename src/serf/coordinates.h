// Network coordinates: each node keeps a point in an invented space, moves it a little with every ack so that distances
// match round-trip times, and sends it in its acks' payload. So anybody can estimate the round trip between any two
// members that it has heard of (gossip-protocol facts 5.8; Dabek et al., Vivaldi, SIGCOMM 2004; constants as serf's).
//
// All numbers are seconds in IEEE doubles, computed with + - * / and sqrt only, all of which are exact to the last bit:
// the same inputs give the same coordinate under every compiler.
//
// Where serf would take anything finite, we refuse what no honest node can have (a negative error or height, an hour's
// distance): with that one bad peer could throw every node's coordinate away, and again with each ack.
#pragma once

#include <array>
#include <cstdint>

#include "base/containers.h"
#include "base/rng.h"
#include "base/time.h"

namespace shoal::serf {

inline constexpr std::size_t kCoordinateDimensions = 8;
inline constexpr double kCoordinateErrorMax = 1.5;
inline constexpr double kCoordinateHeightMin = 10.0e-6;

/// A point. Fresh: the origin, with the greatest error.
struct Coordinate {
  std::array<double, kCoordinateDimensions> vec{};
  double error = kCoordinateErrorMax;    // How little it is to be trusted; no unit.
  double adjustment = 0;                 // What distances to this node are wrong by, on average; may be negative.
  double height = kCoordinateHeightMin;  // The way from the node to the network's core.

  friend bool operator==(const Coordinate&, const Coordinate&) = default;
};

/// The round trip between the two. Never negative; at most the longest Duration for coordinates that are far off.
[[nodiscard]] Duration estimate(const Coordinate& a, const Coordinate& b);

inline constexpr std::size_t kRttSamplesMax = 3;

/// What is known of one peer. Belongs to its member record and goes with it.
struct PeerCoordinate {
  bool known = false;                           // Whether `at` says anything.
  Coordinate at;                                // Where it said that it is, lately.
  InlineVector<Duration, kRttSamplesMax> rtts;  // Its last round trips, the oldest first.
};

/// What became of a coordinate and a round trip from an ack. All but kTaken: nothing has changed.
enum class CoordinateVerdict : std::uint8_t {
  kTaken,
  kNotFinite,      // A NaN or an infinity.
  kAbsurd,         // No honest node can have it.
  kRttOutOfRange,  // Negative, or more than kRttMax.
};
inline constexpr std::size_t kCoordinateVerdicts = 4;
[[nodiscard]] std::string_view to_text(CoordinateVerdict verdict);

class Coordinates {
 public:
  static constexpr Duration kRttMax = 10s;
  static constexpr std::size_t kAdjustmentWindow = 20;  // Round trips, of all peers together.
  static constexpr double kReachMax = 3600;             // Of each number in a coordinate, in seconds.

  explicit Coordinates(Rng rng) : rng_(rng) {}

  /// An ack to a direct ping has brought `other` after `rtt`. Taken: the own coordinate has moved, and `peer` knows
  /// `other`.
  CoordinateVerdict update(PeerCoordinate& peer, const Coordinate& other, Duration rtt);

  [[nodiscard]] const Coordinate& own() const { return own_; }
  /// How often the own coordinate had to begin anew, since it had become nonsense.
  [[nodiscard]] std::uint64_t resets() const { return resets_; }
  [[nodiscard]] std::uint64_t count(CoordinateVerdict verdict) const {
    return counts_[static_cast<std::size_t>(verdict)];
  }

 private:
  void move(const Coordinate& other, double rtt);
  void adjust(const Coordinate& other, double rtt);
  void apply_force(double force, const Coordinate& from);
  void reset();

  Rng rng_;
  Coordinate own_;
  std::array<double, kAdjustmentWindow> window_{};  // Round trip minus raw distance.
  std::size_t window_next_ = 0;
  std::uint64_t resets_ = 0;
  std::array<std::uint64_t, kCoordinateVerdicts> counts_{};
};

}  // namespace shoal::serf
