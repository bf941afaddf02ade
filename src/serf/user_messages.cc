// Serf messages that come as ML user messages: intents, events, queries and their answers (gossip-protocol facts 5.1,
// 5.5, 5.6). What is to be passed on goes into the queue as the very bytes that came (trap 31).
#include "serf/node.h"
#include "serf/tag_match.h"

namespace shoal::serf {
namespace {

constexpr std::size_t kRelaysMax = 16;  // Of one answer, whatever the query asks for.
constexpr LamportTime kWindow = 512;    // Serf's event and query buffers; older messages are dropped.

[[nodiscard]] std::uint64_t mark_of(LamportTime ltime, std::uint32_t id) { return mix64(ltime) ^ id; }

[[nodiscard]] bool too_old(LamportTime ltime, LamportTime clock) { return clock > kWindow && ltime < clock - kWindow; }

}  // namespace

void Node::on_user_message(Bytes payload, const swim::UserSource& source) {
  if (payload.empty()) return void(++counters_.malformed);
  switch (static_cast<wire::SerfType>(payload[0])) {
    case wire::SerfType::kLeave: return on_intent_message(payload, true);
    case wire::SerfType::kJoin: return on_intent_message(payload, false);
    case wire::SerfType::kUserEvent: return on_user_event_message(payload);
    case wire::SerfType::kQuery: return on_query_message(payload, source.via_stream);
    case wire::SerfType::kQueryResponse: return on_response_message(payload);
    case wire::SerfType::kRelay: return on_relay_message(payload);
    case wire::SerfType::kPushPull:  // The user state of a push/pull only.
    case wire::SerfType::kConflictResponse:
    case wire::SerfType::kKeyRequest:
    case wire::SerfType::kKeyResponse: return void(++counters_.unsupported);  // Payloads of queries and answers only.
  }
  ++counters_.unsupported;
}

void Node::on_intent_message(Bytes payload, bool leave) {
  wire::LeaveIntent intent;
  if (leave) {
    if (!wire::decode(payload.subspan(1), intent)) return void(++counters_.malformed);
  } else {
    wire::JoinIntent join;
    if (!wire::decode(payload.subspan(1), join)) return void(++counters_.malformed);
    intent.ltime = join.ltime;
    intent.node = join.node;
  }
  if (!clock_.witness(intent.ltime)) return void(++counters_.clock_jumps);
  const bool pass_on = leave ? apply_leave_intent(intent) : apply_join_intent({intent.ltime, intent.node});
  if (pass_on) intents_.push(payload);
}

void Node::on_user_event_message(Bytes payload) {
  wire::UserEvent event;
  if (!wire::decode(payload.subspan(1), event)) return void(++counters_.malformed);
  if (!event_clock_.witness(event.ltime)) return void(++counters_.clock_jumps);
  if (accept_event(event)) events_.push(payload);
}

// Told once, whichever way it came. True: new, to be passed on.
bool Node::accept_event(const wire::UserEvent& event) {
  switch (event_buffer_.on_event(event_clock_.now(), event.ltime, event.name, event.payload)) {
    case EventVerdict::kNew: break;
    case EventVerdict::kDuplicate: ++counters_.events_repeated; return false;
    case EventVerdict::kTooOld:
    case EventVerdict::kTooBig:
    case EventVerdict::kCrowded: ++counters_.events_refused; return false;
  }
  if (out_->user_events.full()) {
    ++out_->dropped;
    return true;
  }
  UserEventNews& news = out_->user_events.emplace_back();
  news.ltime = event.ltime;
  news.coalesce = event.cc;
  SHOAL_ASSERT(news.name.assign(event.name) && news.payload.assign(event.payload));
  return true;
}

bool Node::user_event(Instant now, std::string_view name, Bytes payload, bool coalesce, Outbox& out) {
  if (name.empty() || name.size() + payload.size() > kUserEventLimit) return false;
  const wire::UserEvent event{event_clock_.now(), name, payload, coalesce};
  std::array<std::uint8_t, kUserEventLimit> memory;
  ByteWriter writer(memory);
  wire::encode(writer, event);
  if (!writer.ok()) return false;
  begin(now, out);
  event_clock_.increment();
  on_user_event_message(writer.written());
  end();
  return true;
}

void Node::on_query_message(Bytes payload, bool via_stream) {
  wire::Query query;
  // Nobody sends one that could not be gossiped; and the filters in it would be work without end.
  const bool fits = payload.size() <= swim::BroadcastQueue::kMessageBytesMax;
  if (!fits || !wire::decode(payload.subspan(1), query)) return void(++counters_.malformed);
  const bool direct = (query.flags & wire::kQueryFlagNoBroadcast) != 0;
  // A direct query neither moves our clock nor is judged by it: its receiver looks at what it says.
  if (!direct) {
    if (!query_clock_.witness(query.ltime)) return void(++counters_.clock_jumps);
    if (query.ltime < query_time_min_ || too_old(query.ltime, query_clock_.now())) {
      return void(++counters_.queries_old);
    }
  }
  if (!seen_queries_.insert(mark_of(query.ltime, query.id))) return void(++counters_.queries_repeated);
  if (!direct) queries_queue_.push(payload);
  deliver_query(query, via_stream);
}

bool Node::may_compile() {
  const auto more = static_cast<std::uint64_t>((now_ - expressions_at_) / kExpressionPause);
  if (more > 0) {
    expressions_ =
        more >= kExpressionsMax - expressions_ ? kExpressionsMax : expressions_ + static_cast<std::uint32_t>(more);
    expressions_at_ = now_;
  }
  if (expressions_ == 0) {
    ++counters_.filters_refused;
    return false;
  }
  --expressions_;
  return true;
}

bool Node::filters_match(const wire::Query& query) {
  if (query.filters.empty()) return true;
  const swim::Record& self = swim_.self();
  wire::FilterReader filters(query.filters);
  while (filters.next()) {
    switch (filters.kind()) {
      case wire::FilterReader::Kind::kNodes:
        if (!filters.names(name())) return false;
        break;
      case wire::FilterReader::Kind::kTag:
        if (!is_plain(filters.tag().expr) && !may_compile()) return false;
        if (!tag_matches(filters.tag().expr, wire::tag_value(self.meta(), filters.tag().tag))) return false;
        break;
      case wire::FilterReader::Kind::kUnknown: return false;
    }
  }
  return !filters.malformed();
}

void Node::deliver_query(const wire::Query& query, bool via_stream) {
  if (!filters_match(query)) return;
  const auto addr = IpAddress::from_raw(query.addr);
  if (!addr || query.port == 0) return void(++counters_.malformed);
  constexpr std::int64_t kTimeoutMax = std::chrono::nanoseconds(10min).count();
  const std::int64_t timeout = query.timeout_ns < 0             ? 0
                               : query.timeout_ns > kTimeoutMax ? kTimeoutMax
                                                                : query.timeout_ns;
  QueryRef ref;
  ref.ltime = query.ltime;
  ref.id = query.id;
  ref.reply_to = Endpoint{*addr, query.port};
  ref.via_stream = via_stream;
  ref.relay_factor = query.relay_factor;
  ref.deadline = now_ + Duration(timeout);
  if ((query.flags & wire::kQueryFlagAck) != 0) static_cast<void>(send_response(ref, {}, wire::kResponseFlagAck));
  if (query.name.starts_with("_serf_")) return on_internal_query(query, ref);
  if (out_->queries.full()) return void(++out_->dropped);
  QueryEvent& event = out_->queries.emplace_back();
  event.ref = ref;
  const bool fits =
      event.name.assign(query.name) && event.source.assign(query.source_node) && event.payload.assign(query.payload);
  if (!fits) {
    ++counters_.malformed;
    out_->queries.pop_back();
  }
}

void Node::on_response_message(Bytes payload) {
  wire::QueryResponse response;
  if (!wire::decode(payload.subspan(1), response)) return void(++counters_.malformed);
  const bool ack = (response.flags & wire::kResponseFlagAck) != 0;
  const QueryToken token = open_queries_.match(response.ltime, response.id, response.from, ack, now_);
  if (token == 0) return;
  if (token == dispute_.token) {
    if (!ack) on_dispute_answer(response.payload);
    return;
  }
  if (out_->responses.full()) return void(++out_->dropped);
  ResponseEvent& event = out_->responses.emplace_back();
  event.token = token;
  event.ack = ack;
  if (!event.from.assign(response.from) || !event.payload.assign(response.payload)) {
    ++counters_.malformed;
    out_->responses.pop_back();
  }
}

std::size_t Node::encode_query(const QueryParams& params, std::uint32_t flags, std::uint32_t id,
                               MutableBytes memory) const {
  std::array<std::uint8_t, kQueryBytesMax> filter_memory;
  ByteWriter filters(filter_memory);
  wire::encode_filters(filters, params.tags, params.nodes);
  const swim::Record& self = swim_.self();
  wire::Query query;
  query.ltime = query_clock_.now();
  query.id = id;
  query.addr = self.profile.address();
  query.port = self.profile.port();
  query.source_node = name();
  query.filters = filters.written();
  query.relay_factor = params.relay_factor;
  query.flags = flags | (params.ack ? wire::kQueryFlagAck : 0);
  query.timeout_ns = (params.timeout > Duration{} ? params.timeout : default_query_timeout()).count();
  query.name = params.name;
  query.payload = params.payload;
  ByteWriter writer(memory);
  wire::encode(writer, query);
  return filters.ok() && writer.ok() ? writer.size() : 0;
}

QueryToken Node::query(Instant now, const QueryParams& params, Outbox& out) {
  begin(now, out);
  const QueryToken token = ask(params);
  end();
  return token;
}

QueryToken Node::ask(const QueryParams& params) {
  std::array<std::uint8_t, kQueryBytesMax> memory;
  const auto id = static_cast<std::uint32_t>(rng_.below(std::uint64_t{1} << 31));
  const std::size_t size = encode_query(params, 0, id, memory);
  QueryToken token = 0;
  if (size > 0) {
    const Duration timeout = params.timeout > Duration{} ? params.timeout : default_query_timeout();
    token = open_queries_.open(query_clock_.now(), id, now_ + timeout);
    query_clock_.increment();
    // Handled like anybody's: passed on, and answered by ourselves if we are meant.
    on_query_message(Bytes(memory).first(size), false);
  }
  return token;
}

QueryToken Node::query_direct(Instant now, const Endpoint& to, Route route, const QueryParams& params, Outbox& out) {
  begin(now, out);
  std::array<std::uint8_t, kQueryBytesMax> memory;
  const auto id = static_cast<std::uint32_t>(rng_.below(std::uint64_t{1} << 31));
  const std::size_t size = encode_query(params, wire::kQueryFlagNoBroadcast, id, memory);
  QueryToken token = 0;
  if (size > 0) {
    const Bytes message = Bytes(memory).first(size);
    bool sent = true;
    if (route == Route::kStream) {
      sent = swim_.send_user_by_stream(now, to, message, out.net);
    } else {
      swim_.send_user(now, to, message, out.net);
    }
    const Duration timeout = params.timeout > Duration{} ? params.timeout : default_query_timeout();
    if (sent) token = open_queries_.open(query_clock_.now(), id, now + timeout);
  }
  end();
  return token;
}

bool Node::send_response(const QueryRef& ref, Bytes payload, std::uint32_t flags) {
  std::array<std::uint8_t, kQueryBytesMax> memory;
  ByteWriter writer(memory);
  wire::encode(writer, wire::QueryResponse{ref.ltime, ref.id, name(), flags, payload});
  if (!writer.ok()) return false;
  if (ref.via_stream) return swim_.send_user_by_stream(now_, ref.reply_to, writer.written(), out_->net);
  swim_.send_user(now_, ref.reply_to, writer.written(), out_->net);
  relay_response(ref, writer.written());
  return true;
}

// The answer once more by way of others, for an asker whose datagrams get lost (gossip-protocol facts 5.6).
void Node::relay_response(const QueryRef& ref, Bytes message) {
  if (ref.relay_factor == 0 || members_.size() <= ref.relay_factor) return;
  const Member* asker = member_at(ref.reply_to);
  std::array<std::uint8_t, kQueryBytesMax> memory;
  ByteWriter writer(memory);
  wire::encode(writer, wire::Relay{ref.reply_to.addr.raw(), ref.reply_to.port,
                                   asker == nullptr ? std::string_view() : asker->name.view(), message});
  if (!writer.ok()) return;
  InlineVector<Slot, kRelaysMax> picks;
  swim::draw_slots(members_.slots(), ref.relay_factor, rng_, picks, [&](Slot slot) {
    const Member& helper = members_[slot];
    return helper.status == Status::kAlive && helper.versions()[1] >= 5 && helper.name != name() &&
           !same_place(helper.endpoint(), ref.reply_to);
  });
  for (const Slot pick : picks) swim_.send_user(now_, members_[pick].endpoint(), writer.written(), out_->net);
}

// Somebody's answer on its way to the asker. Serf sends anything to anywhere; here only an answer goes, and only to a
// member, so that a stranger cannot send datagrams in our name.
void Node::on_relay_message(Bytes payload) {
  wire::Relay relay;
  if (!wire::decode(payload.subspan(1), relay)) return void(++counters_.malformed);
  const auto addr = IpAddress::from_raw(relay.dest_ip);
  const bool answer = !relay.message.empty() &&
                      relay.message[0] == static_cast<std::uint8_t>(wire::SerfType::kQueryResponse) &&
                      relay.message.size() <= kQueryBytesMax;
  if (!addr || !answer) return void(++counters_.relays_refused);
  const Endpoint to{*addr, relay.dest_port};
  if (member_at(to) == nullptr) return void(++counters_.relays_refused);
  swim_.send_user(now_, to, relay.message, out_->net);
}

const Member* Node::member_at(const Endpoint& endpoint) const {
  for (const Slot slot : members_.slots()) {
    if (same_place(members_[slot].endpoint(), endpoint)) return &members_[slot];
  }
  return nullptr;
}

bool Node::respond(Instant now, const QueryRef& ref, Bytes payload, Outbox& out) {
  begin(now, out);
  // Remembered only when it went: an answer that was too large may be followed by a shorter one.
  const std::uint64_t mark = mark_of(ref.ltime, ref.id);
  const bool sent = now <= ref.deadline && !answered_queries_.contains(mark) && send_response(ref, payload, 0);
  if (sent) static_cast<void>(answered_queries_.insert(mark));
  end();
  return sent;
}

}  // namespace shoal::serf
