// What gossip has to tell, given on at the end of a turn: to the role's app, to the log, to the snapshot. And the
// operator's commands that end in news.
#include <string>

#include "app/gossip_driver.h"
#include "app/gossip_keys.h"
#include "config/values.h"

namespace shoal::app {
namespace {

constexpr Duration kConflictPause = 30s;
constexpr Duration kBlockedPause = 1h;
constexpr Duration kForeignPause = 10min;

/// What the operator should look at when gossip of this kind comes.
std::string_view hint_at(swim::Refusal why) {
  if (why == swim::Refusal::kEncrypted) {
    return "it encrypts and this node has no key: set gossip.key or gossip.keyring_file";
  }
  if (why == swim::Refusal::kNotEncrypted) return "it does not encrypt and this node does: give it the cluster's key";
  if (why == swim::Refusal::kBadKey) {
    return "none of this node's keys opens it: give both the same gossip.key, or rotate with `shoal keys`";
  }
  return "its label is another one: set the same gossip.label on both, or keep the clusters apart";
}

}  // namespace

void GossipDriver::give_news() {
  if (node_ == nullptr || giving_news_) return;
  giving_news_ = true;
  // A handler's command can make more news (an answer by a push/pull that fails at once): until there is none.
  for (int round = 0; round < 16 && (!news_.empty() || !failed_asks_.empty()); ++round) {
    for (std::size_t i = 0; i < news_.members.size(); ++i) on_member(serf::MemberEvent(news_.members[i]));
    news_.members.clear();
    for (const serf::JoinEvent& join : news_.joins) tell_join(join);
    for (std::size_t i = 0; listener_ != nullptr && i < news_.joins.size(); ++i) listener_->on_join(news_.joins[i]);
    news_.joins.clear();
    for (std::size_t i = 0; i < news_.queries.size(); ++i) {
      const std::uint64_t ref = ++last_ref_;
      refs_[ref % refs_.size()] = news_.queries[i].ref;
      if (listener_ != nullptr) listener_->on_query(ref, news_.queries[i]);
      handler_.on_query(ref, news_.queries[i]);
    }
    news_.queries.clear();
    give_responses();
    for (const serf::StrangerEvent& stranger : news_.strangers) on_stranger(stranger.source);
    news_.strangers.clear();
    for (const serf::ConflictEvent& conflict : news_.conflicts) tell_conflict(conflict);
    news_.conflicts.clear();
    for (const serf::RenameEvent& rename : news_.renames) tell_rename(rename);
    news_.renames.clear();
    for (const serf::BlockedEvent& blocked : news_.blocked) tell_blocked(blocked);
    news_.blocked.clear();
    for (const serf::ForeignEvent& foreign : news_.foreign) tell_foreign(foreign);
    news_.foreign.clear();
    if (!news_.user_events.empty()) give_user_events();
    if (!news_.keyring_changes.empty()) keep_keyring();
    while (!failed_asks_.empty()) {
      const std::uint64_t token = failed_asks_.back();
      failed_asks_.pop_back();
      handler_.on_ask_failed(token);
    }
    if (std::exchange(news_.left, false)) handler_.on_left();
  }
  if (std::exchange(contact_stale_, false)) update_contact();
  const serf::LamportTime clock = node_->clock();
  snapshot_.on_clocks({clock - 1, node_->event_clock() - 1, node_->query_clock() - 1});
  giving_news_ = false;
}

void GossipDriver::give_responses() {
  for (std::size_t i = 0; i < news_.responses.size(); ++i) {
    const serf::ResponseEvent& response = news_.responses[i];
    if (listener_ != nullptr && listener_->on_response(response)) continue;
    if (response.ack) continue;
    if (key_tally_.on_answer(response.token, response.from.view(), response.payload.view())) {
      if (key_tally_.done(loop_.now())) finish_keys();
      continue;
    }
    for (std::size_t q = 0; q < questions_.size(); ++q) {
      if (questions_[q].query != response.token) continue;
      const std::uint64_t token = questions_[q].token;
      questions_.erase(q);
      handler_.on_response(token, response.from.view(), response.payload.view());
      break;
    }
  }
  news_.responses.clear();
}

void GossipDriver::on_member(const serf::MemberEvent& event) {
  const serf::Member* member = node_->members().get(event.name.view());
  if (event.name != node_->name()) {
    const bool alive = member != nullptr && member->status == serf::Status::kAlive;
    const bool gone =
        member == nullptr || member->status == serf::Status::kLeft || member->status == serf::Status::kFailed;
    if (alive) snapshot_.on_member_alive(event.name.view(), member->endpoint());
    if (gone) snapshot_.on_member_gone(event.name.view());
  }
  if (listener_ != nullptr) listener_->on_member(event.kind, event.name.view(), member);
  handler_.on_member(event.kind, event.name.view(), member);
}

void GossipDriver::tell_join(const serf::JoinEvent& join) {
  if (join.ok) rejoin_.clear();
  if (stranger_.port != 0 && same_place(stranger_, join.to)) {
    stranger_ = {};
    stranger_after_ = loop_.now() + kStrangerPause;
  }
  if (rejoining_.port != 0 && same_place(rejoining_, join.to)) {
    if (join.ok) log_.info("found the cluster again by the snapshot", {{"member", to_text(join.to)}});
    // Not from here: another failure may come at once, and the next turn is soon enough.
    loop_.post([this] { rejoin_next(); });
  }
  for (std::size_t i = 0; i < pending_asks_.size(); ++i) {
    if (!same_place(pending_asks_[i].question.to, join.to)) continue;
    PendingAsk pending = pending_asks_[i];
    pending_asks_.swap_erase(i);
    pending.question.payload = Bytes(pending.payload).first(pending.payload_size);
    send_question(pending.question, serf::Route::kDatagram);
    break;
  }
  if (join.ok) {
    if (!joined_) log_.info("joined", {{"seed", to_text(join.to)}, {"members", node_->members().size()}});
    joined_ = true;
    join_trouble_told_ = false;
  } else if (!joined_ && !join_trouble_told_) {
    join_trouble_told_ = true;
    log_.warn(
        "cannot reach a seed yet; tried again for ever",
        {{"seed", to_text(join.to)},
         {"reason", join.error},
         {"hint", "is a member up there, on that port and with the same gossip key, and is TCP open on the way?"}});
  } else {
    log_.debug("push/pull failed", {{"peer", to_text(join.to)}, {"reason", join.error}});
  }
}

void GossipDriver::tell_conflict(const serf::ConflictEvent& conflict) {
  if (loop_.now() < conflict_after_) return;  // It comes again with every alive message of the other one.
  conflict_after_ = loop_.now() + kConflictPause;
  log_.warn("name conflict: another node uses a member's name; give each node its own node.name",
            {{"node", conflict.name}, {"member", to_text(conflict.existing)}, {"other", to_text(conflict.other)}});
}

void GossipDriver::tell_rename(const serf::RenameEvent& rename) {
  if (rename.other.addr.empty()) {
    log_.error(
        "somebody forged news about this node that it cannot contradict under its name; it goes on under a new one: "
        "encrypt gossip (gossip.key), or change the cluster's key if it is",
        {{"name", rename.old_name}, {"new_name", rename.new_name}});
    return handler_.on_renamed();
  }
  log_.error(
      "another node has this node's name and the cluster knows it by that; this node goes on under a new one: "
      "give each node its own node.name, or none",
      {{"name", rename.old_name}, {"new_name", rename.new_name}, {"other", to_text(rename.other)}});
  handler_.on_renamed();
}

void GossipDriver::tell_blocked(const serf::BlockedEvent& blocked) {
  if (loop_.now() < blocked_after_) {
    return log_.debug("a member answers over TCP only", {{"node", blocked.name}, {"addr", to_text(blocked.endpoint)}});
  }
  blocked_after_ = loop_.now() + kBlockedPause;
  log_.warn(
      "a member answers over TCP but not over UDP; it stays a member, but news travels slowly. Usual cause: a "
      "firewall or security group that lets only TCP through to or from this port, or a gossip.advertise (own_addr) "
      "that it cannot reach: behind NAT that has to be set",
      {{"node", blocked.name},
       {"addr", to_text(blocked.endpoint)},
       {"port", blocked.endpoint.port},
       {"own_addr", to_text(advertise_)}});
}

void GossipDriver::tell_foreign(const serf::ForeignEvent& foreign) {
  Instant& after = foreign_after_[static_cast<std::size_t>(foreign.why)];
  if (loop_.now() < after) return;
  after = loop_.now() + kForeignPause;
  log_.warn("gossip that cannot be read was refused",
            {{"from", to_text(foreign.from)}, {"reason", swim::to_text(foreign.why)}, {"hint", hint_at(foreign.why)}});
}

void GossipDriver::tell_user_event(serf::LamportTime ltime, std::string_view name, Bytes payload, bool coalesce) {
  log_.info("user event", {{"name", name}, {"payload", as_text(payload)}, {"ltime", ltime}});
  if (listener_ != nullptr) listener_->on_user_event(ltime, name, payload, coalesce);
}

void GossipDriver::give_user_events() {
  const auto tell = [this](serf::LamportTime ltime, std::string_view name, Bytes payload) {
    tell_user_event(ltime, name, payload, true);
  };
  coalescer_.on_deadline(loop_.now(), tell);
  for (const serf::UserEventNews& event : news_.user_events) {
    if (event.coalesce) {
      coalescer_.on_event(loop_.now(), event.ltime, event.name.view(), event.payload.view(), tell);
    } else {
      tell_user_event(event.ltime, event.name.view(), event.payload.view(), false);
    }
  }
  news_.user_events.clear();
  events_timer_.at(coalescer_.next_deadline());
}

void GossipDriver::keep_keyring() {
  const std::string error = written_keyring();
  for (std::size_t i = 0; i < news_.keyring_changes.size(); ++i) {
    const serf::QueryRef ref = news_.keyring_changes[i].ref;
    drive([&](Instant now) { node_->answer_key_change(now, ref, error, outbox_); });
  }
  news_.keyring_changes.clear();
}

/// What went wrong, in words for whoever changed the keys.
std::string GossipDriver::written_keyring() {
  log_.info("gossip keys changed", {{"keys", node_->keyring().size()}});
  if (config_.gossip.keyring_file.empty()) {
    log_.warn(
        "the changed keys live in memory only; after a restart gossip.key is all that is known. Set "
        "gossip.keyring_file to keep them");
    return {};
  }
  const auto saved = save_gossip_keys(config_.gossip, node_->keyring());
  if (saved.ok()) return {};
  log_.error("the changed keys could not be written; after a restart the old ones are used",
             {{"reason", saved.error().message}});
  return "the change is in memory, and could not be written: " + saved.error().message;
}

void GossipDriver::reload_keys() {
  if (config_.gossip.keyring_file.empty() || node_ == nullptr) {
    return log_.info("SIGHUP: nothing to read anew; change the settings by a restart");
  }
  const auto keys = load_gossip_keys(config_.gossip);
  if (!keys.ok()) return log_.error("SIGHUP: the keys stay as they are", {{"reason", keys.error().message}});
  if (!node_->set_keys({keys.value().begin(), keys.value().size()})) {
    return log_.error("SIGHUP: the keys stay as they are", {{"reason", "gossip was not encrypted at the start"}});
  }
  log_.info("SIGHUP: gossip keys read anew", {{"keys", node_->keyring().size()}});
}

bool GossipDriver::key_operation(serf::KeyOperation operation, Bytes key, KeysDone done) {
  if (key_tally_.busy() || node_ == nullptr) return false;
  const std::size_t nodes = node_->swim().others_alive() + 1;
  const Duration timeout = node_->default_query_timeout();
  serf::QueryToken query = 0;
  drive([&](Instant now) { query = node_->key_query(now, operation, key, outbox_); });
  if (query == 0) return false;
  key_tally_.begin(loop_.now(), operation, query, nodes, timeout);
  keys_done_ = std::move(done);
  keys_timer_.at(key_tally_.next_deadline());
  return true;
}

void GossipDriver::finish_keys() {
  if (!key_tally_.busy()) return;
  keys_timer_.stop();
  const KeysDone done = std::exchange(keys_done_, nullptr);
  done(key_tally_);
  key_tally_.end();
}

bool GossipDriver::force_leave(std::string_view node, bool prune) {
  bool told = false;
  drive([&](Instant now) { told = node_->force_leave(now, node, prune, outbox_); });
  return told;
}

serf::QueryToken GossipDriver::query(const serf::QueryParams& params) {
  serf::QueryToken token = 0;
  drive([&](Instant now) { token = node_->query(now, params, outbox_); });
  return token;
}

void GossipDriver::join(const Endpoint& to, bool replay) {
  const serf::OldEvents old_events = replay ? serf::OldEvents::kTold : serf::OldEvents::kIgnored;
  drive([&](Instant now) { node_->join(now, to, outbox_, old_events); });
}

Result<void> GossipDriver::change_tags(std::span<const std::string_view> without,
                                       std::span<const std::pair<std::string_view, std::string_view>> with) {
  std::vector<config::Tag> tags = operator_tags_;
  config::Tag tag;
  for (const std::string_view name : without) {
    if (const std::string wrong = config::read_tag(std::string(name) + "=", tag); !wrong.empty()) {
      return Error{0, "the tag " + std::string(name) + " cannot be deleted: it " + wrong};
    }
    std::erase_if(tags, [name](const config::Tag& known) { return known.name == name; });
  }
  for (const auto& [name, value] : with) {
    const std::string text = std::string(name) + "=" + std::string(value);
    const std::string wrong =
        name.find('=') == std::string_view::npos ? config::read_tag(text, tag) : "has = in its name";
    if (!wrong.empty()) return Error{0, "the tag " + std::string(name) + " cannot be set: it " + wrong};
    std::erase_if(tags, [&](const config::Tag& known) { return known.name == tag.name; });
    tags.push_back(tag);
  }
  if (const auto fits = check_tags(tags); !fits.ok()) return fits.error();
  operator_tags_ = std::move(tags);
  return {};
}

bool GossipDriver::user_event(std::string_view name, Bytes payload, bool coalesce) {
  bool told = false;
  drive([&](Instant now) { told = node_->user_event(now, name, payload, coalesce, outbox_); });
  return told;
}

void GossipDriver::log_refused() {
  if (node_ == nullptr) return;
  FixedString<512> text;
  const auto add = [&text](std::string_view name, std::uint64_t count) {
    if (count == 0) return;
    const std::string part = std::string(text.empty() ? "" : " ") + std::string(name) + "=" + std::to_string(count);
    static_cast<void>(text.append(part));
  };
  const swim::Counters& swim = node_->swim().counters();
  for (std::size_t i = 0; i < swim.refused.size(); ++i) {
    add(swim::to_text(static_cast<swim::Refusal>(i)), swim.refused[i]);
  }
  const serf::NodeCounters& serf = node_->counters();
  add("serf_malformed", serf.malformed);
  add("serf_unsupported", serf.unsupported);
  add("queries_old", serf.queries_old);
  add("filters_refused", serf.filters_refused);
  add("relays_refused", serf.relays_refused);
  add("events_refused", serf.events_refused);
  add("coordinates_refused", serf.coordinates_refused);
  add("clock_jumps", serf.clock_jumps);
  add("members_refused", serf.members_refused);
  if (!text.empty()) log_.info("gossip that was not used, by reason", {{"counts", text}});
}

}  // namespace shoal::app
