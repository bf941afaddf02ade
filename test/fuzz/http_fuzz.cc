// The control socket's request parser: a stream of any bytes, cut into pieces as its first byte says, ends in one of
// three states, the same one as in a single piece; a complete request has a body of a known length, and its JSON is
// read.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "admin/api.h"
#include "admin/http_client.h"
#include "admin/http_request.h"
#include "target.h"

using namespace shoal;
using namespace shoal::admin;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void read_all(std::string_view body) {
  KeyRequest key;
  ForceLeaveRequest leave;
  EventRequest event;
  (void)read_request(body, key);
  (void)read_request(body, leave);
  (void)read_request(body, event);
  std::vector<Member> members;
  KeysAnswer keys;
  Status status;
  (void)from_json(body, members);
  (void)from_json(body, keys);
  (void)from_json(body, status);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = 1 + data[0];
  const Bytes stream(data + 1, size - 1);

  HttpRequestParser whole;
  const auto state = whole.on_bytes(stream);
  HttpRequestParser pieces;
  for (std::size_t at = 0; at < stream.size(); at += step) {
    pieces.on_bytes(stream.subspan(at, std::min(step, stream.size() - at)));
  }
  require(pieces.state() == state);
  if (state == HttpRequestParser::State::kFailed) {
    require(pieces.error().status == whole.error().status && whole.error().status >= 400);
    HttpResponseParser client;
    require(client.on_bytes(as_bytes(http_response(whole.error()))) == HttpResponseParser::State::kComplete);
  } else if (state == HttpRequestParser::State::kComplete) {
    require(&pieces.route() == &whole.route() && pieces.body() == whole.body());
    require(whole.body().size() <= HttpRequestParser::kBodyMax);
    read_all(whole.body());
  }
  HttpResponseParser answer;
  (void)answer.on_bytes(stream);
  read_all(as_text(stream));
  return 0;
}
