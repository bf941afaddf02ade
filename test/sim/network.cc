#include "sim/network.h"

#include <algorithm>

namespace shoal::test {

void Network::cut_sets(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to, bool both_ways) {
  for (const std::size_t a : from) {
    for (const std::size_t b : to) {
      if (a == b) continue;
      cut(a, b);
      if (both_ways) cut(b, a);
    }
  }
}

void Network::heal() {
  cuts_.clear();
  link_loss_ppm_.clear();
  std::fill(loss_ppm_.begin(), loss_ppm_.end(), 0);
  std::fill(datagrams_cut_.begin(), datagrams_cut_.end(), false);
}

bool Network::whole() const {
  const bool even = std::all_of(loss_ppm_.begin(), loss_ppm_.end(), [](std::uint32_t ppm) { return ppm == 0; });
  const bool open = std::none_of(datagrams_cut_.begin(), datagrams_cut_.end(), [](bool cut) { return cut; });
  return even && open && cuts_.empty() && link_loss_ppm_.empty();
}

bool Network::whole_at(std::size_t node) const {
  if (loss_ppm_[node] > 0 || datagrams_cut_[node]) return false;
  const auto concerns = [node](const auto& link) { return link.first == node || link.second == node; };
  for (const auto& link : cuts_) {
    if (concerns(link)) return false;
  }
  for (const auto& [link, ppm] : link_loss_ppm_) {
    if (ppm > 0 && concerns(link)) return false;
  }
  return true;
}

bool Network::lost(std::size_t from, std::size_t to) {
  const auto link = link_loss_ppm_.find({from, to});
  const std::uint32_t causes[] = {options.loss_ppm, loss_ppm_[from], loss_ppm_[to],
                                  link == link_loss_ppm_.end() ? 0 : link->second};
  for (const std::uint32_t ppm : causes) {
    if (ppm > 0 && rng_.chance_ppm(ppm)) return true;
  }
  return false;
}

Duration Network::delay() {
  Duration d = options.latency_min + rng_.below(options.latency_max - options.latency_min);
  if (options.late_ppm > 0 && rng_.chance_ppm(options.late_ppm)) d += rng_.below(options.late_max);
  return d;
}

Network::Fate Network::datagram(std::size_t from, std::size_t to) {
  Fate fate;
  if (is_cut(from, to) || datagrams_cut_[from] || datagrams_cut_[to] || lost(from, to)) return fate;
  fate.delay[fate.copies++] = delay();
  if (options.duplicate_ppm > 0 && rng_.chance_ppm(options.duplicate_ppm)) fate.delay[fate.copies++] = delay();
  return fate;
}

bool Network::segment(std::size_t from, std::size_t to, Duration& out) {
  // The acknowledgement has to come back as well.
  if (is_cut(from, to) || is_cut(to, from) || lost(from, to)) return false;
  out = delay();
  return true;
}

}  // namespace shoal::test
