#include "serf/snapshot.h"

#include <charconv>

namespace shoal::serf {

namespace {

// Behind `word`, or nothing.
std::optional<std::string_view> after(std::string_view line, std::string_view word) {
  if (line.substr(0, word.size()) != word) return std::nullopt;
  return line.substr(word.size());
}

bool read_time(std::string_view text, LamportTime& out) {
  LamportTime value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value >= LamportClock::kTimeAbsurd) return false;
  out = value;
  return true;
}

}  // namespace

void SnapshotReplay::on_bytes(Bytes chunk) {
  size_bytes_ += chunk.size();
  std::string_view text = as_text(chunk);
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    if (!skipping_ && !line_.append(text.substr(0, newline))) skipping_ = true;
    if (newline == std::string_view::npos) return;
    if (skipping_) {
      ++lines_long_;
    } else {
      on_line(line_);
    }
    line_.clear();
    skipping_ = false;
    text.remove_prefix(newline + 1);
  }
}

void SnapshotReplay::on_line(std::string_view line) {
  bool good = true;
  if (const auto member = after(line, "alive: ")) {
    good = on_alive(*member);
  } else if (const auto name = after(line, "not-alive: ")) {
    const Slot slot = nodes_.find(*name);
    if (slot != kNoSlot) nodes_.erase(slot);
  } else if (const auto time = after(line, "clock: ")) {
    good = read_time(*time, clocks_.member);
  } else if (const auto event_time = after(line, "event-clock: ")) {
    good = read_time(*event_time, clocks_.event);
  } else if (const auto query_time = after(line, "query-clock: ")) {
    good = read_time(*query_time, clocks_.query);
  } else if (line == "leave") {
    on_leave();
  } else {
    good = after(line, "coordinate: ") || after(line, "#");
  }
  if (!good) ++lines_bad_;
}

bool SnapshotReplay::on_alive(std::string_view rest) {
  const std::size_t space = rest.rfind(' ');
  if (space == std::string_view::npos || space == 0) return false;
  const std::string_view name = rest.substr(0, space);
  const auto endpoint = Endpoint::parse(rest.substr(space + 1));
  if (!endpoint || name.size() > swim::kNameBytesMax) return false;
  left_ = false;
  Slot slot = nodes_.find(name);
  if (slot == kNoSlot) {
    if (nodes_.full()) {
      ++nodes_too_many_;
      return true;
    }
    slot = nodes_.insert(name);
  }
  nodes_[slot].endpoint = *endpoint;
  return true;
}

void SnapshotReplay::on_leave() {
  left_ = true;
  if (rejoin_after_leave_) return;
  while (nodes_.size() > 0) nodes_.erase(nodes_.slots()[0]);
  clocks_ = {};
}

}  // namespace shoal::serf
