#include "haproxy/retired_process.h"

#include <algorithm>
#include <cstring>

namespace shoal::haproxy {
namespace {

constexpr std::size_t kReplyBytesMax = 32 * 1024;  // `show info` has 1.3 kB, a `show stat` row 2 kB with its head.

}  // namespace

RetiredProcess::RetiredProcess(const RetiredOptions& options)
    : options_(options), poll_(options.poll_min), watched_(kWatchedMax), reply_(kReplyBytesMax) {}

void RetiredProcess::take_over(Instant now, const Info& process, std::uint32_t unanswered) {
  process_ = process;
  framing_.is_master = false;
  since_ = now;
  watched_.clear();
  poll_ = options_.poll_min;
  unanswered_ = unanswered;
  reply_size_ = 0;
  stage_ = unanswered > 0 ? Stage::kSkipping : Stage::kIdle;
  answer_until_ = unanswered > 0 ? now + options_.answer_deadline : kNever;
  poll_at_ = now;
}

void RetiredProcess::reach(Instant now, const Info& process) {
  take_over(now, process, 0);
  framing_.is_master = true;
  stage_ = Stage::kConnecting;
  answer_until_ = now + options_.answer_deadline;
}

void RetiredProcess::on_connected(Instant now, ByteWriter& out) {
  if (stage_ != Stage::kConnecting) return;
  stage_ = Stage::kGreeting;
  answer_until_ = now + options_.answer_deadline;
  out.put(kPromptLine);
}

bool RetiredProcess::watch(Instant now, const BackendName& backend, const ServerName& server, std::uint32_t id,
                           std::uint32_t tag) {
  SHOAL_ASSERT(is_active());
  for (std::size_t i = 0; watched_.full() && i < watched_.size() && stage_ != Stage::kAsking; ++i) {
    if (watched_[i].is_done) watched_.swap_erase(i--);
  }
  if (watched_.full()) return false;
  watched_.push_back(Watched{backend, server, id, tag});
  poll_ = options_.poll_min;
  poll_at_ = std::min(poll_at_, now);
  return true;
}

void RetiredProcess::put_prefix(ByteWriter& out) const {
  if (!framing_.is_master) return;
  out.put("@!");
  put_decimal(out, process_.pid);
  out.put(" ");
}

/// A round: the counters of some watched servers, then the process itself.
void RetiredProcess::ask(Instant now, ByteWriter& out) {
  stage_ = Stage::kAsking;
  answer_until_ = now + options_.answer_deadline;
  poll_at_ = kNever;
  answered_ = asked_ = 0;
  for (std::size_t i = watched_.size(); i > 0; --i) {
    if (watched_[i - 1].is_done) watched_.swap_erase(i - 1);
  }
  round_size_ = watched_.size();
  if (first_asked_ >= round_size_) first_asked_ = 0;
  asked_ = std::min(round_size_, RetiredEffects::kQuestionsMax);
  Command command;
  command.kind = CommandKind::kShowStat;
  for (std::size_t i = 0; i < asked_; ++i) {
    const Watched& watched = watched_[(first_asked_ + i) % round_size_];
    command.backend = watched.backend;
    command.id = watched.id;
    put_prefix(out);
    SHOAL_ASSERT(encode(command, out));
  }
  put_prefix(out);
  out.put(kShowInfoLine);
  SHOAL_ASSERT(out.ok());
}

void RetiredProcess::on_bytes(Instant now, Bytes bytes, ByteWriter& out, RetiredEffects& effects) {
  if (stage_ == Stage::kNone || stage_ == Stage::kConnecting) return;
  if (bytes.size() > reply_.size() - reply_size_) {
    return end(false, "its answer is too long", effects);
  }
  if (!bytes.empty()) std::memcpy(reply_.bytes().data() + reply_size_, bytes.data(), bytes.size());
  reply_size_ += bytes.size();
  std::string_view text = as_text(Bytes(reply_.bytes()).first(reply_size_));
  if (stage_ == Stage::kGreeting) {
    const Greeting greeting = parse_greeting(text);
    if (greeting == Greeting::kIncomplete) return;
    if (greeting == Greeting::kWorker) return end(false, "the master's socket is none", effects);
    reply_size_ = 0;
    return ask(now, out);
  }
  while (stage_ == Stage::kSkipping || stage_ == Stage::kAsking || stage_ == Stage::kIdle) {
    const auto reply_end = framing_.find(text, 0);
    if (!reply_end) break;
    const std::string_view reply = text.substr(0, reply_end->size);
    take_reply(now, reply, effects);
    text.remove_prefix(reply_end->next);
  }
  // What is skipped may be a table of any size.
  if (stage_ == Stage::kSkipping) text.remove_prefix(framing_.resume_at(text, 0));
  std::memmove(reply_.bytes().data(), text.data(), text.size());
  reply_size_ = text.size();
}

void RetiredProcess::take_reply(Instant now, std::string_view reply, RetiredEffects& effects) {
  if (stage_ == Stage::kIdle) return end(false, "it answered more than it was asked", effects);
  if (stage_ == Stage::kSkipping) {
    answer_until_ = now + options_.answer_deadline;
    if (--unanswered_ > 0) return;
    stage_ = Stage::kIdle;
    answer_until_ = kNever;
    poll_at_ = now;
    return;
  }
  answer_until_ = now + options_.answer_deadline;
  if (answered_ < asked_) return take_count(reply, effects);
  take_info(now, reply, effects);
}

void RetiredProcess::take_count(std::string_view reply, RetiredEffects& effects) {
  Watched& watched = watched_[(first_asked_ + answered_++) % round_size_];
  const auto counters = parse_counters(reply, watched.backend.view(), watched.server.view());
  // Without a row this process never had the server; anything else that is no table counts as not known.
  if (!counters && judge(CommandKind::kShowStat, reply) != Outcome::kDone) return;
  const std::uint64_t in_flight = counters ? counters->queued + counters->sessions : 0;
  const bool is_news = in_flight != watched.in_flight || in_flight == 0;
  watched.in_flight = in_flight;
  watched.is_done = in_flight == 0;
  if (is_news) effects.counts.push_back({watched.tag, in_flight});
}

void RetiredProcess::take_info(Instant now, std::string_view reply, RetiredEffects& effects) {
  const auto info = parse_info(reply);
  if (!info) return end(false, "its `show info` cannot be read", effects);
  if (info->pid != process_.pid || info->start_time_sec != process_.start_time_sec) {
    return end(true, "another process answers", effects);
  }
  bool has_requests = false;
  for (std::size_t i = 0; i < watched_.size(); ++i) has_requests = has_requests || !watched_[i].is_done;
  if (info->stopping && info->connections == std::uint64_t{0} && !has_requests) {
    return end(true, "its last request has ended", effects);
  }
  stage_ = Stage::kIdle;
  answer_until_ = kNever;
  first_asked_ += asked_;
  poll_ = has_requests ? std::min(poll_ * 2, options_.poll_max) : options_.poll_max;
  poll_at_ = now + poll_;
}

void RetiredProcess::on_closed(RetiredEffects& effects) {
  if (stage_ == Stage::kNone) return;
  // A worker keeps its runtime connections to its end; the master closes when it knows no such worker any more.
  end(true, "it has ended", effects);
}

void RetiredProcess::on_deadline(Instant now, ByteWriter& out, RetiredEffects& effects) {
  if (stage_ == Stage::kNone) return;
  if (now >= since_ + options_.lifetime_max) return end(false, "it has been old for too long", effects);
  if (now >= answer_until_) return end(false, "it does not answer", effects);
  if (stage_ == Stage::kIdle && now >= poll_at_) ask(now, out);
}

Instant RetiredProcess::next_deadline() const {
  if (stage_ == Stage::kNone) return kNever;
  const Instant next = earlier(answer_until_, since_ + options_.lifetime_max);
  return stage_ == Stage::kIdle ? earlier(next, poll_at_) : next;
}

void RetiredProcess::end(bool is_finished, std::string_view why, RetiredEffects& effects) {
  stage_ = Stage::kNone;
  effects.ended = true;
  effects.is_finished = is_finished;
  effects.why = why;
}

}  // namespace shoal::haproxy
