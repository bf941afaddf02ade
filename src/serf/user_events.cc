#include "serf/user_events.h"

#include <cstring>

#include "base/hash.h"

namespace shoal::serf {

std::string_view to_text(EventVerdict verdict) {
  switch (verdict) {
    case EventVerdict::kNew: return "new";
    case EventVerdict::kDuplicate: return "duplicate";
    case EventVerdict::kTooOld: return "too old";
    case EventVerdict::kTooBig: return "too big";
    case EventVerdict::kCrowded: return "crowded";
  }
  return "?";
}

EventBuffer::EventBuffer() : times_(kTimes), marks_(kMarks), ring_(kRingBytes) {
  while (!times_.full()) times_.emplace_back();
}

EventVerdict EventBuffer::on_event(LamportTime clock, LamportTime ltime, std::string_view name, Bytes payload) {
  const EventVerdict verdict = judge(clock, ltime, name, payload);
  ++counts_[static_cast<std::size_t>(verdict)];
  return verdict;
}

EventVerdict EventBuffer::judge(LamportTime clock, LamportTime ltime, std::string_view name, Bytes payload) {
  if (name.size() > kUserEventBytesMax || payload.size() > kUserEventBytesMax - name.size()) {
    return EventVerdict::kTooBig;
  }
  if (ltime < minimum_ || (clock > kTimes && ltime < clock - kTimes)) return EventVerdict::kTooOld;
  Time& time = times_[ltime % kTimes];
  const bool same_time = time.size > 0 && time.ltime == ltime;
  if (time.size > 0 && time.ltime > ltime) return EventVerdict::kTooOld;
  const std::uint64_t hash = hash64(payload, hash64(as_bytes(name), name.size()));
  if (same_time && is_known(time, hash, name, payload)) return EventVerdict::kDuplicate;
  if (same_time && time.size == kEventsPerTimeMax) return EventVerdict::kCrowded;
  if (!same_time) forget(time);
  if (free_ == kNoMark && marks_.full() && !forget_before(ltime)) return EventVerdict::kTooOld;

  std::uint16_t index = free_;
  if (index == kNoMark) {
    index = static_cast<std::uint16_t>(marks_.size());
    marks_.emplace_back();
  } else {
    free_ = marks_[index].next;
  }
  marks_[index] = {hash, store(name, payload), static_cast<std::uint16_t>(name.size()),
                   static_cast<std::uint16_t>(payload.size()), kNoMark};
  if (time.size == 0) {
    time.ltime = ltime;
    time.first = index;
  } else {
    marks_[time.last].next = index;
  }
  time.last = index;
  ++time.size;
  return EventVerdict::kNew;
}

bool EventBuffer::is_known(const Time& time, std::uint64_t hash, std::string_view name, Bytes payload) const {
  for (std::uint16_t i = time.first; i != kNoMark; i = marks_[i].next) {
    const Mark& mark = marks_[i];
    if (mark.hash != hash || mark.name_size != name.size() || mark.payload_size != payload.size()) continue;
    // Without the bytes the hash has to do: that two events of one time share it does not happen by chance.
    if (!is_stored(mark) || (name_of(mark) == name && same_bytes(payload_of(mark), payload))) return true;
  }
  return false;
}

std::string_view EventBuffer::name_of(const Mark& mark) const {
  return as_text(ring_.bytes().subspan(mark.position % kRingBytes, mark.name_size));
}

Bytes EventBuffer::payload_of(const Mark& mark) const {
  return ring_.bytes().subspan(mark.position % kRingBytes + mark.name_size, mark.payload_size);
}

std::size_t EventBuffer::stored(const Time& time) const {
  std::size_t count = 0;
  for (std::uint16_t i = time.first; i != kNoMark; i = marks_[i].next) count += is_stored(marks_[i]) ? 1 : 0;
  return count;
}

std::size_t EventBuffer::times_stored() const {
  std::size_t count = 0;
  for (const Time& time : times_) count += stored(time) > 0 ? 1 : 0;
  return count;
}

void EventBuffer::forget(Time& time) {
  if (time.size == 0) return;
  marks_[time.last].next = free_;
  free_ = time.first;
  time = {};
}

bool EventBuffer::forget_before(LamportTime ltime) {
  Time* oldest = nullptr;
  for (Time& time : times_) {
    if (time.size > 0 && (oldest == nullptr || time.ltime < oldest->ltime)) oldest = &time;
  }
  if (oldest == nullptr || oldest->ltime >= ltime) return false;
  raise_minimum(oldest->ltime + 1);
  forget(*oldest);
  return true;
}

std::uint64_t EventBuffer::store(std::string_view name, Bytes payload) {
  const std::size_t size = name.size() + payload.size();
  const std::size_t to_the_end = kRingBytes - written_ % kRingBytes;
  if (size > to_the_end) written_ += to_the_end;  // An event stands in one piece.
  const std::uint64_t position = written_;
  ByteWriter out(ring_.bytes().subspan(position % kRingBytes, size));
  out.put(name);
  out.put(payload);
  written_ += size;
  return position;
}

std::string_view EventCoalescer::name_of(const Event& event) const {
  return as_text(bytes_.bytes().subspan(event.offset, event.name_size));
}

Bytes EventCoalescer::payload_of(const Event& event) const {
  return bytes_.bytes().subspan(event.offset + event.name_size, event.payload_size);
}

bool EventCoalescer::add(Instant now, LamportTime ltime, std::string_view name, Bytes payload) {
  if (events_.empty()) latest_at_ = now + kQuantum;
  quiet_at_ = now + kQuiescent;
  for (std::size_t i = events_.size(); i-- > 0;) {
    if (name_of(events_[i]) != name || events_[i].ltime == ltime) continue;
    ++superseded_;
    if (events_[i].ltime > ltime) return true;
    events_.erase(i);
  }
  if (events_.full() || kBytesMax - bytes_used_ < name.size() ||
      kBytesMax - bytes_used_ - name.size() < payload.size()) {
    return false;
  }
  ByteWriter out(bytes_.bytes().subspan(bytes_used_));
  out.put(name);
  out.put(payload);
  events_.push_back({ltime, static_cast<std::uint32_t>(bytes_used_), static_cast<std::uint32_t>(name.size()),
                     static_cast<std::uint32_t>(payload.size())});
  bytes_used_ += name.size() + payload.size();
  return true;
}

void EventCoalescer::clear() {
  events_.clear();
  bytes_used_ = 0;
}

}  // namespace shoal::serf
