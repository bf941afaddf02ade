#include "haproxy/runtime_session.h"

#include <algorithm>
#include <cstring>

namespace shoal::haproxy {
namespace {

constexpr std::size_t kWriteBytesMax = 64 * 1024;       // In one call on the main stream; the rest follows the answers.
constexpr std::size_t kProbeReplyBytesMax = 16 * 1024;  // `show info` has 1.3 kB.

}  // namespace

SessionOutbox::SessionOutbox(const SessionOptions& options)
    : events(options.window + 4),
      streams_{StreamEffects{false, false, 0, Buffer(kWriteBytesMax)},
               StreamEffects{false, false, 0, Buffer(kLineBytesMax)}} {}

bool SessionOutbox::has_effects() const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [](const StreamEffects& s) { return s.close || s.connect || s.size_bytes > 0; });
}

void SessionOutbox::clear_effects() {
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
      rng_(rng),
      reconnect_at_(now),
      backoff_(options.backoff_min),
      batch_(options.batch_commands_max),
      replies_(options.reply_bytes_max),
      probe_reply_(kProbeReplyBytesMax) {}

void RuntimeSession::start_connect(Instant now, SessionOutbox& out) {
  stage_ = Stage::kConnecting;
  answer_until_ = now + options_.connect_deadline;
  reconnect_at_ = kNever;
  replies_begin_ = replies_size_ = scanned_ = 0;
  out.connect(Stream::kMain);
}

void RuntimeSession::on_connected(Instant now, Stream stream, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
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
  stage_ = Stage::kGreeting;
  answer_until_ = now + options_.command_deadline;
  send_line(kPromptLine, out);
}

void RuntimeSession::on_connect_failed(Instant now, Stream stream, std::string_view text, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
  // A probe that is refused says nothing about the process on the main stream; that one is watched by itself.
  if (stream == Stream::kProbe) return end_probe(now);
  if (stage_ == Stage::kConnecting) lose(now, text, false, out);
}

void RuntimeSession::on_closed(Instant now, Stream stream, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
  if (stream == Stream::kProbe) {
    if (probe_stage_ == ProbeStage::kReading) take_probe(now, out);
    return end_probe(now);
  }
  if (stage_ == Stage::kWaiting) return;
  lose(now, "HAProxy closed the connection", stage_ == Stage::kReady, out);
}

void RuntimeSession::on_bytes(Instant now, Stream stream, Bytes bytes, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
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
    const std::size_t end = all.find(kReplyEnd, scanned_);
    if (end == std::string_view::npos) {
      // The end's first two characters may be here already.
      scanned_ = std::max(replies_begin_, all.size() < 2 ? 0 : all.size() - 2);
      return;
    }
    const std::string_view reply = all.substr(replies_begin_, end - replies_begin_);
    replies_begin_ = scanned_ = end + kReplyEnd.size();
    take_reply(now, reply, out);
  }
}

void RuntimeSession::take_reply(Instant now, std::string_view reply, SessionOutbox& out) {
  switch (stage_) {
    case Stage::kWaiting:
    case Stage::kConnecting: SHOAL_UNREACHABLE();
    case Stage::kGreeting:
      stage_ = Stage::kIdentifying;
      answer_until_ = now + options_.command_deadline;
      send_line(kShowInfoLine, out);
      return;
    case Stage::kIdentifying: return take_first_info(now, reply, out);
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
  if (info->stopping) return lose(now, "this HAProxy process is stopping: it was reloaded or is going away", true, out);
  if (!is_same_process(*info)) lose(now, "another HAProxy process answers", true, out);
}

void RuntimeSession::take_first_info(Instant now, std::string_view reply, SessionOutbox& out) {
  const auto info = parse_info(reply);
  if (!info) return lose(now, "HAProxy's `show info` cannot be read", false, out);
  if (info->stopping) return lose(now, "only a stopping HAProxy process answers", false, out);
  SessionEvent up{SessionEvent::Kind::kUp};
  up.replaced = known_ && !is_same_process(*info);
  if (up.replaced) ++replacements_;
  if (known_) ++reconnects_;
  info_ = *info;
  traits_ = &traits_of(info_.version.view());
  known_ = true;
  stage_ = Stage::kReady;
  backoff_ = options_.backoff_min;
  answer_until_ = kNever;
  down_text_.clear();
  watch_at_ = now + options_.watch_interval;
  probe_at_ = now + rng_.jittered(options_.probe_interval);
  up.text = info_.version.view();
  out.events.push_back(up);
}

void RuntimeSession::lose(Instant now, std::string_view why, bool soon, SessionOutbox& out) {
  const bool was_ready = stage_ == Stage::kReady;
  down_text_.assign_cut(why);
  out.close(Stream::kMain);
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
  if (was_ready) {
    SessionEvent down{SessionEvent::Kind::kDown};
    down.text = down_text_.view();
    out.events.push_back(down);
  }
  if (soon) return start_connect(now, out);
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
    if (space.size() < kLineBytesMax) break;
    if (lines_sent_ == 0 || lines_sent_ == lines - 1) {
      send_line(kShowInfoLine, out);
    } else {
      ByteWriter line(space);
      SHOAL_ASSERT(encode(batch_[lines_sent_ - 1], line));  // `add` has tried it.
      out.at(Stream::kMain).size_bytes += line.size();
    }
    ++lines_sent_;
  }
  if (answer_until_ == kNever) answer_until_ = now + options_.command_deadline;
}

void RuntimeSession::send_line(std::string_view line, SessionOutbox& out) {
  ByteWriter writer(out.free_space(Stream::kMain));
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
  lose(now, "a fresh connection reaches another HAProxy process", true, out);
}

void RuntimeSession::end_probe(Instant now) {
  probe_stage_ = ProbeStage::kIdle;
  probe_until_ = kNever;
  probe_at_ = stage_ == Stage::kReady ? now + rng_.jittered(options_.probe_interval) : kNever;
}

void RuntimeSession::on_deadline(Instant now, SessionOutbox& out) {
  SHOAL_ASSERT(out.events.empty());
  if (now >= answer_until_) {
    lose(now, stage_ == Stage::kConnecting ? "connecting timed out" : "HAProxy did not answer in time", false, out);
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
}

Instant RuntimeSession::next_deadline() const {
  Instant next = earlier(answer_until_, earlier(watch_at_, earlier(probe_at_, probe_until_)));
  if (stage_ == Stage::kWaiting) next = earlier(next, reconnect_at_);
  return next;
}

}  // namespace shoal::haproxy
