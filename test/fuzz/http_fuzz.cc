// The control socket: a request is read the same however it is cut, ends in a route with a body or in an answer of 4xx
// or 5xx, and what a body says is taken or refused in words. Then the clients' side, which
// reads answers: the control socket's, and the probe of a worker.
#include <string>

#include "admin/api.h"
#include "admin/http_client.h"
#include "admin/http_request.h"
#include "admin/status.h"
#include "base/check.h"
#include "base/http_status.h"
#include "input.h"
#include "target.h"

namespace {

using namespace shoal;
using namespace shoal::admin;
using State = HttpRequestParser::State;

template <typename Parser>
auto in_pieces(Parser& parser, Bytes all, std::size_t step) {
  auto state = parser.on_bytes(all.first(0));
  while (!all.empty()) {
    const std::size_t piece = std::min(step, all.size());
    state = parser.on_bytes(all.first(piece));
    all = all.subspan(piece);
  }
  return state;
}

void bodies(std::string_view text) {
  KeyRequest key;
  (void)read_request(text, key);
  ForceLeaveRequest leave;
  if (read_request(text, leave).empty()) {
    SHOAL_ASSERT(!leave.name.empty());
    ForceLeaveRequest again;
    if (read_request(to_json(leave), again).empty()) SHOAL_ASSERT(again.prune == leave.prune);
  }
  EventRequest event;
  if (read_request(text, event).empty()) {
    EventRequest again;
    SHOAL_ASSERT(read_request(to_json(event), again).empty());
    SHOAL_ASSERT(again.payload == event.payload && again.coalesce == event.coalesce);
  }
  SteerRequest steer;
  if (read_request(text, steer).empty()) SHOAL_ASSERT(!steer.name.empty() && !(steer.stop && steer.wish == "ready"));
}

void requests(Bytes all) {
  static HttpRequestParser whole, pieces;
  whole.reset();
  const State state = whole.on_bytes(all);
  for (const std::size_t step : {std::size_t{1}, std::size_t{13}}) {
    pieces.reset();
    SHOAL_ASSERT(in_pieces(pieces, all, step) == state);
    switch (state) {
      case State::kReading: break;
      case State::kComplete: SHOAL_ASSERT(&pieces.route() == &whole.route() && pieces.body() == whole.body()); break;
      case State::kFailed: SHOAL_ASSERT(pieces.error().status == whole.error().status); break;
    }
  }
  if (state == State::kComplete) {
    SHOAL_ASSERT(whole.body().size() <= HttpRequestParser::kBodyMax);
    bodies(whole.body());
  }
  if (state == State::kFailed) {
    const HttpError& error = whole.error();
    SHOAL_ASSERT(error.status >= 400 && error.status < 600 && !error.message.empty());
    // The answer to it is one that our client reads.
    HttpResponseParser client;
    SHOAL_ASSERT(client.on_bytes(as_bytes(http_response(error))) == HttpResponseParser::State::kComplete);
    SHOAL_ASSERT(client.status() == error.status && error_from_json(client.body()).has_value());
  }
}

void answers(Bytes all) {
  HttpResponseParser whole, pieces;
  const HttpResponseParser::State state = whole.on_bytes(all);
  SHOAL_ASSERT(in_pieces(pieces, all, 1) == state);
  if (state != HttpResponseParser::State::kComplete) return;
  SHOAL_ASSERT(pieces.status() == whole.status() && pieces.body() == whole.body());
}

/// What a probe reads of a worker's answer: the same however it is cut, and no other status than our client finds.
void statuses(Bytes all) {
  HttpStatusReader whole, pieces;
  const HttpStatusReader::State state = whole.on_bytes(all);
  SHOAL_ASSERT(in_pieces(pieces, all, 1) == state && pieces.status() == whole.status());
  if (state != HttpStatusReader::State::kComplete) return;
  SHOAL_ASSERT(whole.status() >= 101 && whole.status() <= 599);
}

void read_answers(std::string_view text) {
  Status status;
  if (from_json(text, status)) {
    Status again;
    SHOAL_ASSERT(from_json(to_json(status), again) && again.members == status.members);
    SHOAL_ASSERT(again.task.has_value() == status.task.has_value());
    if (status.task) SHOAL_ASSERT(again.task->sidecars.size() == status.task->sidecars.size());
    SHOAL_ASSERT(again.sidecar.has_value() == status.sidecar.has_value());
    if (status.sidecar) SHOAL_ASSERT(again.sidecar->proxies.size() == status.sidecar->proxies.size());
  }
  Health health;
  if (from_json(text, health)) {
    Health again;
    SHOAL_ASSERT(from_json(to_json(health), again) && again.healthy == health.healthy);
  }
  std::vector<Member> members;
  if (from_json(text, members)) {
    std::vector<Member> again;
    SHOAL_ASSERT(from_json(to_json(members), again) && again.size() == members.size());
  }
  KeysAnswer keys;
  if (from_json(text, keys)) {
    KeysAnswer again;
    SHOAL_ASSERT(from_json(to_json(keys), again) && again.complete() == keys.complete());
  }
  (void)error_from_json(text);
}

/// What our client says about this text arrives whole.
void round_trip(std::string_view text) {
  const std::string json = error_json(text);
  for (const Route& route : routes()) {
    HttpRequestParser parser;
    const bool post = route.method == Method::kPost;
    SHOAL_ASSERT(parser.on_bytes(as_bytes(http_request(route, post ? json : std::string()))) == State::kComplete);
    SHOAL_ASSERT(&parser.route() == &route && parser.body() == (post ? json : std::string()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::copy_of({data, size});
  requests(as_bytes(text));
  answers(as_bytes(text));
  statuses(as_bytes(text));
  bodies(text);
  read_answers(text);
  if (size < 64) round_trip(text);
  return 0;
}
