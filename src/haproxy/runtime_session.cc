#include "haproxy/runtime_session.h"

#include <algorithm>
#include <cstring>

namespace shoal::haproxy {
namespace {

constexpr std::size_t kWriteBytesMax = 64 * 1024;       // In one call on the main stream; the rest follows the answers.
constexpr std::size_t kProbeReplyBytesMax = 16 * 1024;  // `show info` has 1.3 kB.
constexpr std::size_t kFeedBytes = 8 * 1024;
constexpr Duration kSteadyAfter = 1s;         // A session that lasted so long was one.
constexpr std::uint32_t kSoonInARowMost = 8;  // Connects without a back-off, with no such session between them.
constexpr std::string_view kCurrentWorker = "@1 ";

bool is_old(Stream stream) { return stream != Stream::kMain && stream != Stream::kProbe; }
std::size_t slot_of(Stream stream) {
  return static_cast<std::size_t>(stream) - static_cast<std::size_t>(Stream::kOld1);
}
Stream stream_of(std::size_t slot) { return static_cast<Stream>(slot + static_cast<std::size_t>(Stream::kOld1)); }

bool is_table(CommandKind kind) {
  return kind == CommandKind::kShowBackend || kind == CommandKind::kShowServersState || kind == CommandKind::kShowStat;
}

}  // namespace

SessionOutbox::SessionOutbox(const SessionOptions& options)
    : events(options.window + RetiredEffects::kQuestionsMax + 8), streams_{StreamEffects(kWriteBytesMax),
                                                                           StreamEffects(kLineBytesMax),
                                                                           StreamEffects(kLineBytesMax),
                                                                           StreamEffects(kLineBytesMax),
                                                                           StreamEffects(kLineBytesMax),
                                                                           StreamEffects(kLineBytesMax)} {}

bool SessionOutbox::has_effects() const {
  return hands_over_.has_value() || std::any_of(streams_.begin(), streams_.end(), [](const StreamEffects& s) {
           return s.close || s.connect || s.size_bytes > 0;
         });
}

void SessionOutbox::clear_effects() {
  hands_over_.reset();
  for (StreamEffects& stream : streams_) {
    stream.close = false;
    stream.connect = false;
    stream.size_bytes = 0;
  }
}

void SessionOutbox::close(Stream stream) {
  StreamEffects& effects = at(stream);
  effects.connect = false;
  effects.size_bytes = 0;
  effects.close = true;
}

void SessionOutbox::connect(Stream stream) { at(stream).connect = true; }

MutableBytes SessionOutbox::free_space(Stream stream) {
  StreamEffects& effects = at(stream);
  return effects.memory.bytes().subspan(effects.size_bytes);
}

RuntimeSession::RuntimeSession(const SessionOptions& options, Rng rng, Instant now)
    : options_(options),
      framing_{options.is_master},
      rng_(rng),
      reconnect_at_(now),
      backoff_(options.backoff_min),
      batch_(options.batch_commands_max),
      replies_(options.reply_bytes_max),
      probe_reply_(kProbeReplyBytesMax),
      retired_(kOldMax) {
  for (std::size_t i = 0; i < kOldMax; ++i) retired_.emplace_back(options.retired);
}

void RuntimeSession::start_connect(Instant now, SessionOutbox& out) {
  stage_ = Stage::kConnecting;
  answer_until_ = now + options_.connect_deadline;
  reconnect_at_ = kNever;
  replies_begin_ = replies_size_ = scanned_ = 0;
  out.connect(Stream::kMain);
}

void RuntimeSession::on_connected(Instant now, Stream stream, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
  if (is_old(stream)) {
    ByteWriter line(out.free_space(stream));
    retired_[slot_of(stream)].on_connected(now, line);
    return out.grow(stream, line.size());
  }
  if (stream == Stream::kProbe) {
    if (probe_stage_ != ProbeStage::kConnecting) return;
    probe_stage_ = ProbeStage::kReading;
    probe_size_ = 0;
    auto& effects = out.at(Stream::kProbe);
    ByteWriter line(out.free_space(Stream::kProbe));
    line.put(kShowInfoLine);
    effects.size_bytes += line.size();
    return;
  }
  if (stage_ != Stage::kConnecting) return;
  nobody_since_ = kNever;
  stage_ = Stage::kGreeting;
  answer_until_ = now + options_.command_deadline;
  send_line(kPromptLine, out);
}

void RuntimeSession::on_connect_failed(Instant now, Stream stream, std::string_view text, bool nobody_listens,
                                       SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
  if (is_old(stream)) return on_closed(now, stream, out);
  // A probe that is refused says nothing about the process on the main stream; that one is watched by itself.
  if (stream == Stream::kProbe) return end_probe(now);
  if (stage_ != Stage::kConnecting) return;
  // A process that has only fallen silent may go on without its listening socket.
  nobody_since_ = nobody_listens && !lost_silent_ ? earlier(nobody_since_, now) : kNever;
  lose(now, text, false, out);
}

void RuntimeSession::on_closed(Instant now, Stream stream, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
  if (is_old(stream)) {
    RetiredEffects effects;
    retired_[slot_of(stream)].on_closed(effects);
    return apply(slot_of(stream), effects, out);
  }
  if (stream == Stream::kProbe) {
    if (probe_stage_ == ProbeStage::kReading) take_probe(now, out);
    return end_probe(now);
  }
  if (stage_ == Stage::kWaiting) return;
  lose(now, "HAProxy closed the connection", stage_ == Stage::kReady, out);
}

void RuntimeSession::on_bytes(Instant now, Stream stream, Bytes bytes, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
  if (is_old(stream)) {
    RetiredEffects effects;
    ByteWriter lines(out.free_space(stream));
    retired_[slot_of(stream)].on_bytes(now, bytes, lines, effects);
    out.grow(stream, lines.size());
    return apply(slot_of(stream), effects, out);
  }
  if (stream == Stream::kProbe) {
    if (probe_stage_ != ProbeStage::kReading) return;
    const std::size_t taken = std::min(bytes.size(), probe_reply_.size() - probe_size_);
    if (taken > 0) std::memcpy(probe_reply_.bytes().data() + probe_size_, bytes.data(), taken);
    probe_size_ += taken;
    return;
  }
  if (stage_ == Stage::kWaiting || stage_ == Stage::kConnecting) return;
  compact();
  if (bytes.size() > replies_.size() - replies_size_) return lose(now, "HAProxy's answer is too long", false, out);
  if (!bytes.empty()) std::memcpy(replies_.bytes().data() + replies_size_, bytes.data(), bytes.size());
  replies_size_ += bytes.size();
  if (stage_ == Stage::kGreeting) return take_greeting(now, out);
  take_replies(now, out);
}

/// Frees what was taken in the last input; only now, because that input's events borrowed it.
void RuntimeSession::compact() {
  if (replies_begin_ == 0) return;
  std::uint8_t* memory = replies_.bytes().data();
  std::memmove(memory, memory + replies_begin_, replies_size_ - replies_begin_);
  replies_size_ -= replies_begin_;
  scanned_ -= replies_begin_;
  replies_begin_ = 0;
}

void RuntimeSession::take_replies(Instant now, SessionOutbox& out) {
  while (stage_ != Stage::kWaiting && stage_ != Stage::kConnecting) {
    const std::string_view all = as_text(Bytes(replies_.bytes()).first(replies_size_));
    const auto end = framing_.find(all, scanned_);
    if (!end) {
      scanned_ = framing_.resume_at(all, replies_begin_);
      return;
    }
    const std::string_view reply = all.substr(replies_begin_, end->size - replies_begin_);
    replies_begin_ = scanned_ = end->next;
    take_reply(now, reply, out);
  }
}

void RuntimeSession::take_reply(Instant now, std::string_view reply, SessionOutbox& out) {
  switch (stage_) {
    case Stage::kWaiting:
    case Stage::kConnecting:
    case Stage::kGreeting: SHOAL_UNREACHABLE();
    case Stage::kIdentifying: return take_first_info(now, reply, out);
    case Stage::kLevel:
      level_ = parse_level(reply);
      if (!traits_->experimental) return become_ready(now, out);
      stage_ = Stage::kExperimental;
      answer_until_ = now + options_.command_deadline;
      return send_line(kExperimentalLine, out);
    case Stage::kExperimental: return become_ready(now, out);  // A refusal is one of the level, which is told.
    case Stage::kReady: break;
  }
  if (watch_open_) {
    watch_open_ = false;
    answer_until_ = in_batch_ ? now + options_.command_deadline : kNever;
    watch_at_ = in_batch_ ? kNever : now + options_.watch_interval;  // A batch has its own two looks.
    return take_info(now, reply, out);
  }
  if (!in_batch_ || lines_answered_ == lines_sent_) {
    return lose(now, "HAProxy answered more than it was asked", false, out);
  }
  take_batch_reply(now, reply, out);
}

void RuntimeSession::take_batch_reply(Instant now, std::string_view reply, SessionOutbox& out) {
  const std::size_t line = lines_answered_++;
  answer_until_ = now + options_.command_deadline;
  const bool is_last = line == batch_.size() + 1;
  if (line == 0 || is_last) {
    take_info(now, reply, out);
    if (stage_ != Stage::kReady) return;
  } else {
    const Command& command = batch_[line - 1];
    // The master ends an answer with its prompt also when the worker has died in the middle of it; every table ends
    // with an empty line.
    if (framing_.is_master && is_table(command.kind) && (reply.empty() || reply.back() != '\n')) {
      return lose(now, "HAProxy's answer was cut short", false, out);
    }
    SessionEvent& event = out.events.push_back(SessionEvent{SessionEvent::Kind::kReply});
    event.command = command.kind;
    event.outcome = judge(command.kind, reply);
    event.tag = command.tag;
    event.text = reply;
  }
  if (!is_last) return send_more(now, out);
  in_batch_ = false;
  batch_.clear();
  answer_until_ = kNever;
  watch_at_ = now + options_.watch_interval;
  out.events.push_back(SessionEvent{SessionEvent::Kind::kBatchDone});
}

bool RuntimeSession::is_same_process(const Info& info) const {
  return info.pid == info_.pid && info.start_time_sec == info_.start_time_sec;
}

void RuntimeSession::take_info(Instant now, std::string_view reply, SessionOutbox& out) {
  const auto info = parse_info(reply);
  if (!info) return lose(now, "HAProxy's `show info` cannot be read", false, out);
  if (info->stopping) {
    return lose(now, "this HAProxy process is stopping: it was reloaded or is going away", true, out, true);
  }
  if (!is_same_process(*info)) lose(now, "another HAProxy process answers", true, out);
}

/// The first prompt. It has no answer before it, and tells whose socket this is.
void RuntimeSession::take_greeting(Instant now, SessionOutbox& out) {
  const Greeting greeting = parse_greeting(as_text(Bytes(replies_.bytes()).first(replies_size_)));
  if (greeting == Greeting::kIncomplete) return;
  if (greeting == Greeting::kMaster && !framing_.is_master) {
    return lose(now, "this is the socket of HAProxy's master; write master@ in front of it in haproxy.socket", false,
                out);
  }
  if (greeting == Greeting::kWorker && framing_.is_master) {
    return lose(now, "this is not the socket of HAProxy's master; leave out master@ in haproxy.socket", false, out);
  }
  replies_begin_ = scanned_ = replies_size_;
  stage_ = Stage::kIdentifying;
  answer_until_ = now + options_.command_deadline;
  send_line(kShowInfoLine, out);
}

void RuntimeSession::take_first_info(Instant now, std::string_view reply, SessionOutbox& out) {
  const auto info = parse_info(reply);
  if (!info) return lose(now, "HAProxy's `show info` cannot be read", false, out);
  if (info->stopping) return lose(now, "only a stopping HAProxy process answers", false, out);
  new_info_ = *info;
  traits_ = &traits_of(new_info_.version.view());
  stage_ = Stage::kLevel;
  answer_until_ = now + options_.command_deadline;
  send_line(kShowLevelLine, out);
}

void RuntimeSession::become_ready(Instant now, SessionOutbox& out) {
  SessionEvent up{SessionEvent::Kind::kUp};
  up.replaced = known_ && !is_same_process(new_info_);
  // The master drops its connections at a reload and says nothing of the old worker.
  if (up.replaced && framing_.is_master) retire_process(now, out);
  if (up.replaced) ++replacements_;
  if (known_) ++reconnects_;
  info_ = new_info_;
  known_ = true;
  stage_ = Stage::kReady;
  ready_since_ = now;
  nobody_since_ = kNever;
  lost_silent_ = false;
  answer_until_ = kNever;
  down_text_.clear();
  watch_at_ = now + options_.watch_interval;
  // `@1` reaches the current worker without that.
  probe_at_ = framing_.is_master ? kNever : now + rng_.jittered(options_.probe_interval);
  up.text = info_.version.view();
  out.events.push_back(up);
}

std::size_t RuntimeSession::free_slot(SessionOutbox& out) {
  std::size_t oldest = 0;
  for (std::size_t i = 0; i < kOldMax; ++i) {
    if (!retired_[i].is_active()) return i;
    if (retired_[i].since() < retired_[oldest].since()) oldest = i;
  }
  retired_[oldest].stop();
  RetiredEffects effects;
  effects.ended = true;
  effects.why = "too many old processes at once";
  apply(oldest, effects, out);
  return oldest;
}

/// The connected process becomes an old one.
void RuntimeSession::retire_process(Instant now, SessionOutbox& out) {
  for (std::size_t i = 0; i < kOldMax; ++i) {
    if (retired_[i].is_active() && is_same_process(retired_[i].process())) return;
  }
  auto& main = out.at(Stream::kMain);
  // Commands that the shell does not have yet would have to be taken back; that never comes together.
  if (!framing_.is_master && main.size_bytes > 0) return out.close(Stream::kMain);
  const std::size_t slot = free_slot(out);
  RetiredProcess& retired = retired_[slot];
  SessionEvent event{SessionEvent::Kind::kRetired};
  event.slot = static_cast<std::uint8_t>(slot);
  event.text = info_.version.view();
  out.events.push_back(event);
  if (framing_.is_master) {
    retired.reach(now, info_);
    return out.connect(stream_of(slot));
  }
  const std::size_t unanswered = lines_sent_ - lines_answered_ + (watch_open_ ? 1 : 0);
  retired.take_over(now, info_, static_cast<std::uint32_t>(unanswered));
  out.hands_over_ = stream_of(slot);
  // What has come of those answers already.
  RetiredEffects effects;
  ByteWriter nothing(MutableBytes{});
  Bytes rest = Bytes(replies_.bytes()).subspan(replies_begin_, replies_size_ - replies_begin_);
  for (; !rest.empty() && !effects.ended; rest = rest.subspan(std::min(rest.size(), kFeedBytes))) {
    retired.on_bytes(now, rest.first(std::min(rest.size(), kFeedBytes)), nothing, effects);
  }
  apply(slot, effects, out);
}

void RuntimeSession::apply(std::size_t slot, const RetiredEffects& effects, SessionOutbox& out) {
  for (std::size_t i = 0; i < effects.counts.size(); ++i) {
    SessionEvent event{SessionEvent::Kind::kOldCount};
    event.slot = static_cast<std::uint8_t>(slot);
    event.tag = effects.counts[i].tag;
    event.in_flight = effects.counts[i].in_flight;
    out.events.push_back(event);
  }
  if (!effects.ended) return;
  if (!effects.is_finished) ++old_given_up_;
  out.close(stream_of(slot));
  SessionEvent event{SessionEvent::Kind::kOldGone};
  event.slot = static_cast<std::uint8_t>(slot);
  event.finished = effects.is_finished;
  event.text = effects.why;
  out.events.push_back(event);
}

bool RuntimeSession::has_old() const {
  for (std::size_t i = 0; i < kOldMax; ++i) {
    if (retired_[i].is_active()) return true;
  }
  return false;
}

void RuntimeSession::lose(Instant now, std::string_view why, bool soon, SessionOutbox& out, bool is_alive) {
  const FixedString<191> said = down_text_;
  const bool was_ready = stage_ == Stage::kReady;
  down_text_.assign_cut(why);
  if (is_alive && was_ready) retire_process(now, out);
  if (out.hands_over_.has_value()) {
    out.at(Stream::kMain).size_bytes = 0;
  } else {
    out.close(Stream::kMain);
  }
  stage_ = Stage::kWaiting;
  answer_until_ = kNever;
  watch_at_ = kNever;
  watch_open_ = false;
  in_batch_ = false;
  batch_.clear();
  lines_sent_ = lines_answered_ = 0;
  if (probe_stage_ != ProbeStage::kIdle) out.close(Stream::kProbe);
  probe_stage_ = ProbeStage::kIdle;
  probe_at_ = kNever;
  probe_until_ = kNever;
  if (was_ready || said != down_text_) {
    SessionEvent down{SessionEvent::Kind::kDown};
    down.text = down_text_.view();
    out.events.push_back(down);
  }
  // One that greets and is gone again, or is another process each time, is not run after in a tight loop.
  const bool was_steady = was_ready && now - ready_since_ >= kSteadyAfter;
  if (was_steady) {
    backoff_ = options_.backoff_min;
    soon_in_a_row_ = 0;
  }
  if (soon && soon_in_a_row_ < kSoonInARowMost) {
    ++soon_in_a_row_;
    return start_connect(now, out);
  }
  reconnect_at_ = now + rng_.jittered(backoff_);
  backoff_ = std::min(backoff_ * 2, options_.backoff_max);
}

bool RuntimeSession::add(const Command& command) {
  SHOAL_ASSERT(can_begin());
  std::uint8_t memory[kLineBytesMax];
  ByteWriter line{MutableBytes(memory)};
  if (batch_.full() || !encode(command, line)) return false;
  batch_.push_back(command);
  return true;
}

void RuntimeSession::begin_batch(Instant now, SessionOutbox& out) {
  SHOAL_ASSERT(can_begin());
  in_batch_ = true;
  lines_sent_ = lines_answered_ = 0;
  watch_at_ = kNever;
  if (!watch_open_) answer_until_ = now + options_.command_deadline;
  send_more(now, out);
}

void RuntimeSession::send_more(Instant now, SessionOutbox& out) {
  const std::size_t lines = batch_.size() + 2;
  while (lines_sent_ < lines && lines_sent_ - lines_answered_ < options_.window) {
    MutableBytes space = out.free_space(Stream::kMain);
    if (space.size() < kLineBytesMax + kCurrentWorker.size()) break;
    if (lines_sent_ == 0 || lines_sent_ == lines - 1) {
      send_line(kShowInfoLine, out);
    } else {
      ByteWriter line(space);
      if (framing_.is_master) line.put(kCurrentWorker);
      SHOAL_ASSERT(encode(batch_[lines_sent_ - 1], line));  // `add` has tried it.
      out.at(Stream::kMain).size_bytes += line.size();
    }
    ++lines_sent_;
  }
  if (answer_until_ == kNever) answer_until_ = now + options_.command_deadline;
}

void RuntimeSession::send_line(std::string_view line, SessionOutbox& out) {
  ByteWriter writer(out.free_space(Stream::kMain));
  // These two are the master's own: it keeps the mode of its session for the workers.
  if (framing_.is_master && line != kPromptLine && line != kExperimentalLine) writer.put(kCurrentWorker);
  writer.put(line);
  SHOAL_ASSERT(writer.ok());
  out.at(Stream::kMain).size_bytes += writer.size();
}

void RuntimeSession::start_probe(Instant now, SessionOutbox& out) {
  probe_stage_ = ProbeStage::kConnecting;
  probe_at_ = kNever;
  probe_until_ = now + options_.connect_deadline;
  out.connect(Stream::kProbe);
}

/// The fresh connection has said all; without a prompt HAProxy closes after its answer.
void RuntimeSession::take_probe(Instant now, SessionOutbox& out) {
  const auto info = parse_info(as_text(Bytes(probe_reply_.bytes()).first(probe_size_)));
  if (!info || info->stopping || is_same_process(*info) || stage_ != Stage::kReady) return;
  probe_stage_ = ProbeStage::kIdle;
  lose(now, "a fresh connection reaches another HAProxy process", true, out, true);
}

void RuntimeSession::end_probe(Instant now) {
  probe_stage_ = ProbeStage::kIdle;
  probe_until_ = kNever;
  probe_at_ = stage_ == Stage::kReady ? now + rng_.jittered(options_.probe_interval) : kNever;
}

std::string_view RuntimeSession::silence() const {
  switch (stage_) {
    case Stage::kWaiting:
    case Stage::kReady: break;
    case Stage::kConnecting: return "connecting timed out";
    case Stage::kGreeting:  // An eleventh connection is accepted by the kernel and waits there.
    case Stage::kIdentifying:
    case Stage::kLevel:
    case Stage::kExperimental:
      return "connected, but HAProxy does not answer: others may use all of its connections (raise `stats maxconn`, 10 "
             "by default), or it is frozen";
  }
  return "HAProxy did not answer in time";
}

void RuntimeSession::on_deadline(Instant now, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
  if (now >= answer_until_) {
    lost_silent_ = lost_silent_ || stage_ == Stage::kReady;
    lose(now, silence(), false, out);
  }
  if (stage_ == Stage::kWaiting && now >= reconnect_at_) start_connect(now, out);
  if (now >= watch_at_ && !in_batch_ && !watch_open_ && stage_ == Stage::kReady) {
    watch_open_ = true;
    watch_at_ = kNever;
    answer_until_ = now + options_.command_deadline;
    send_line(kShowInfoLine, out);
  }
  if (now >= probe_until_) {
    out.close(Stream::kProbe);
    end_probe(now);
  }
  if (now >= probe_at_ && stage_ == Stage::kReady) start_probe(now, out);
  for (std::size_t slot = 0; slot < kOldMax; ++slot) {
    if (now < retired_[slot].next_deadline()) continue;
    RetiredEffects effects;
    ByteWriter lines(out.free_space(stream_of(slot)));
    retired_[slot].on_deadline(now, lines, effects);
    out.grow(stream_of(slot), lines.size());
    apply(slot, effects, out);
  }
}

Instant RuntimeSession::next_deadline() const {
  Instant next = earlier(answer_until_, earlier(watch_at_, earlier(probe_at_, probe_until_)));
  if (stage_ == Stage::kWaiting) next = earlier(next, reconnect_at_);
  for (std::size_t slot = 0; slot < kOldMax; ++slot) next = earlier(next, retired_[slot].next_deadline());
  return next;
}

}  // namespace shoal::haproxy
