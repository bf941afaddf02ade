#include "app/worker_probe.h"

#include <array>
#include <utility>

namespace shoal::app {
namespace {

constexpr std::array<std::uint8_t, 1> kProbeByte = {'\n'};
// After the status the rest of the answer is let come in: a worker whose answer is cut off writes of a broken pipe.
constexpr Duration kLingerMost = 1s;
constexpr std::size_t kLingerBytesMost = std::size_t{256} * 1024;

/// Where a connection from this machine reaches a listener.
Endpoint reachable(Endpoint listener) {
  if (!listener.addr.is_unspecified()) return listener;
  if (listener.addr.is_v4()) {
    listener.addr = IpAddress::v4(127, 0, 0, 1);
  } else {
    listener.addr = *IpAddress::parse("::1");
  }
  return listener;
}

}  // namespace

WorkerProbe::WorkerProbe(reactor::Loop& loop, std::string path, Handler handler)
    : loop_(loop), path_(std::move(path)), handler_(std::move(handler)), pool_(loop, *this, 1), linger_(loop, [this] {
        close();
      }) {}

void WorkerProbe::aim(const Endpoint& listener) {
  end();
  target_ = reachable(listener);
  request_ = "GET " + path_ + " HTTP/1.1\r\nHost: " + std::string(to_text(target_).view()) +
             "\r\nUser-Agent: shoal\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

void WorkerProbe::connect() { begin(false); }
void WorkerProbe::get() { begin(true); }

void WorkerProbe::begin(bool with_request) {
  close();
  with_request_ = with_request;
  told_ = was_taken_ = false;
  lingered_ = 0;
  reader_.reset();
  stream_ = pool_.connect(target_);
  SHOAL_ASSERT(stream_ != nullptr);  // Its one stream has just been freed.
}

void WorkerProbe::end() {
  close();
  was_taken_ = false;
}

void WorkerProbe::close() {
  linger_.stop();
  if (stream_ != nullptr) stream_->close();
  stream_ = nullptr;
}

void WorkerProbe::send_byte() {
  if (stream_ != nullptr && stream_->is_open() && !stream_->is_writing()) stream_->write(kProbeByte);
}

void WorkerProbe::finish() {
  if (stream_ != nullptr) stream_->shutdown_write();
}

void WorkerProbe::send_request() {
  if (stream_ == nullptr || !stream_->is_open() || stream_->is_writing()) return tell(Result::kClosed);
  with_request_ = true;
  stream_->write(as_bytes(request_));
}

reactor::AcceptedSocket WorkerProbe::accepted_socket() const {
  if (was_taken_) return {reactor::Accepted::kTaken};
  if (stream_ == nullptr || !stream_->is_open()) return {reactor::Accepted::kWaiting};
  return reactor::accepted_socket(target_, stream_->local());
}

void WorkerProbe::tell(Result result, int status) {
  if (std::exchange(told_, true)) return;
  handler_(result, status);
}

void WorkerProbe::on_connected(reactor::TcpStream& stream) {
  if (!with_request_) return handler_(Result::kConnected, 0);
  stream.write(as_bytes(request_));
}

void WorkerProbe::on_failed(reactor::TcpStream&, reactor::StreamEnd why) {
  stream_ = nullptr;
  switch (why) {
    case reactor::StreamEnd::kRefused:
    case reactor::StreamEnd::kReset: return tell(Result::kRefused);
    case reactor::StreamEnd::kTimedOut: return tell(Result::kTimedOut);
    case reactor::StreamEnd::kUnreachable:
    case reactor::StreamEnd::kFailed: return tell(Result::kNotTried);
  }
}

void WorkerProbe::on_bytes(reactor::TcpStream&, Bytes bytes) {
  if (!with_request_) return;  // A worker that speaks first. Whether it has accepted, the queue says.
  if (told_) {
    lingered_ += bytes.size();
    if (lingered_ > kLingerBytesMost) close();
    return;
  }
  switch (reader_.on_bytes(bytes)) {
    case HttpStatusReader::State::kReading: return;
    case HttpStatusReader::State::kComplete:
      linger_.at(loop_.now() + kLingerMost);
      return tell(Result::kAnswered, reader_.status());
    case HttpStatusReader::State::kFailed: close(); return tell(Result::kNoHttp);
  }
}

void WorkerProbe::on_end(reactor::TcpStream&) {
  close();
  was_taken_ = true;
  tell(Result::kClosed);
}

void WorkerProbe::on_closed(reactor::TcpStream&, reactor::StreamEnd) {
  linger_.stop();
  stream_ = nullptr;
  was_taken_ = true;
  tell(Result::kClosed);
}

}  // namespace shoal::app
