#include "admin/http_client.h"

#include <doctest/doctest.h>

#include "admin/http_request.h"

using namespace shoal;
using namespace shoal::admin;

namespace {

using State = HttpResponseParser::State;

State judge(std::string_view text) {
  HttpResponseParser parser;
  return parser.on_bytes(as_bytes(text));
}

}  // namespace

TEST_CASE("what the client writes the server reads, for every route") {
  for (const Route& route : routes()) {
    CAPTURE(route.path);
    const std::string body = route.method == Method::kPost ? R"({"a":"b"})" : "";
    HttpRequestParser server;
    REQUIRE(server.on_bytes(as_bytes(http_request(route, body))) == HttpRequestParser::State::kComplete);
    CHECK(server.route().operation == route.operation);
    CHECK(server.body() == body);
  }
}

TEST_CASE("what the server writes the client reads, in pieces of any size") {
  const std::string text = http_response(404, "{\"error\":\"x\r\n\r\n\"}");
  for (std::size_t step = 1; step <= text.size(); ++step) {
    HttpResponseParser parser;
    for (std::size_t at = 0; at < text.size(); at += step) {
      CHECK(parser.state() == State::kReading);
      parser.on_bytes(as_bytes(std::string_view(text).substr(at, step)));
    }
    CHECK(parser.state() == State::kComplete);
    CHECK(parser.status() == 404);
    CHECK(parser.body() == "{\"error\":\"x\r\n\r\n\"}");
  }
}

TEST_CASE("an answer that is cut short is not complete") {
  const std::string text = http_response(200, "{\"members\":[]}");
  for (std::size_t size = 0; size < text.size(); ++size)
    CHECK(judge(std::string_view(text).substr(0, size)) == State::kReading);
}

TEST_CASE("an answer that no shoal gives is a failure") {
  CHECK(judge("HTTP/1.1 200 OK\r\n\r\n") == State::kFailed);  // No length.
  CHECK(judge("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx") == State::kFailed);
  CHECK(judge("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n") == State::kFailed);
  CHECK(judge("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n") == State::kFailed);
  CHECK(judge("HTTP/1.1 xyz OK\r\nContent-Length: 0\r\n\r\n") == State::kFailed);
  CHECK(judge("SSH-2.0-OpenSSH\r\n\r\n") == State::kFailed);
  CHECK(judge(std::string(9000, 'x')) == State::kFailed);
}
