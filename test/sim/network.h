// The network between simulated nodes: who reaches whom, how late, how often. It decides fates; moving the bytes is the
// cluster's work. Nodes are numbers here, whatever their names and addresses.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/time.h"

namespace shoal::test {

/// What the whole network is like. Ratios are in millionths.
struct NetworkOptions {
  Duration latency_min = 200us;
  Duration latency_max = 2ms;       // Between the two, evenly: this alone reorders.
  std::uint32_t loss_ppm = 0;       // Of datagrams; of TCP segments too, which come again later.
  std::uint32_t duplicate_ppm = 0;  // Of datagrams.
  std::uint32_t late_ppm = 0;       // Of datagrams: those take up to `late_max` longer, as through a full queue.
  Duration late_max{};
  std::size_t segment_bytes = 16'384;  // A TCP write arrives in pieces of at most this size,
  Duration segment_gap{};              // so far apart: a slow dribble.
};

class Network {
 public:
  /// TCP's first wait before it sends a lost segment again; doubles up to kResendMax.
  static constexpr Duration kResendFirst = 200ms;
  static constexpr Duration kResendMax = 6s;

  Network(std::size_t nodes, Rng rng) : rng_(rng), loss_ppm_(nodes), datagrams_cut_(nodes) {}

  NetworkOptions options;

  // Cuts. Each stays until heal().
  void cut(std::size_t from, std::size_t to) { cuts_.insert({from, to}); }
  /// Nothing from `from` reaches `to`; the other way too when `both_ways`.
  void cut_sets(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to, bool both_ways);
  void mend(std::size_t from, std::size_t to) { cuts_.erase({from, to}); }
  void cut_datagrams(std::size_t node, bool cut = true) { datagrams_cut_[node] = cut; }
  /// Of datagrams from and to this node, besides the general loss.
  void lose_at(std::size_t node, std::uint32_t ppm) { loss_ppm_[node] = ppm; }
  void lose_between(std::size_t from, std::size_t to, std::uint32_t ppm) { link_loss_ppm_[{from, to}] = ppm; }
  void heal();

  [[nodiscard]] bool is_cut(std::size_t from, std::size_t to) const { return cuts_.count({from, to}) > 0; }
  /// Whether any cut or uneven loss is in force anywhere.
  [[nodiscard]] bool whole() const;
  /// Whether one is that concerns this node.
  [[nodiscard]] bool whole_at(std::size_t node) const;

  /// How long each copy of a datagram takes; empty = it is lost.
  struct Fate {
    std::uint32_t copies = 0;
    Duration delay[2] = {};
  };
  [[nodiscard]] Fate datagram(std::size_t from, std::size_t to);
  /// How long a TCP segment takes this time, or nothing when it has to be sent again.
  [[nodiscard]] bool segment(std::size_t from, std::size_t to, Duration& delay);

  /// Chance for whatever else the harness decides.
  [[nodiscard]] Rng& rng() { return rng_; }

 private:
  [[nodiscard]] bool lost(std::size_t from, std::size_t to);
  [[nodiscard]] Duration delay();

  Rng rng_;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;
  std::map<std::pair<std::size_t, std::size_t>, std::uint32_t> link_loss_ppm_;
  std::vector<std::uint32_t> loss_ppm_;
  std::vector<bool> datagrams_cut_;
};

}  // namespace shoal::test
