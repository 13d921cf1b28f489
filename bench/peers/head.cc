// Products of a weight matrix with a few states by another library, in a process of its own, for bench/head.mjs:
//   make FORMAT ROWS COLS   weights of some content                         → ok, or no where it lacks the format
//   time STATES             milliseconds of processor time of one product   → a number
// Build with one of -DGGML, -DOPENBLAS and -DONEDNN (3), and that library. One thread.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>
#if defined(GGML)
#include <ggml-cpu.h>
#include <ggml.h>
#elif defined(OPENBLAS)
#include <cblas.h>
#else
#include <unordered_map>
#include <dnnl.hpp>
#endif

namespace {

using Product = std::function<void()>;

#if defined(GGML)
struct Peer {
  std::vector<uint8_t> work;
  ggml_context* context = nullptr;
  ggml_tensor* weights = nullptr;

  bool make(const std::string& format, int64_t rows, int64_t cols) {
    const std::map<std::string, ggml_type> types = {
        {"float32", GGML_TYPE_F32}, {"float16", GGML_TYPE_F16}, {"bfloat16", GGML_TYPE_BF16}, {"q8_0", GGML_TYPE_Q8_0},
        {"q4_0", GGML_TYPE_Q4_0},   {"q4_K", GGML_TYPE_Q4_K},   {"q6_K", GGML_TYPE_Q6_K}};
    const auto type = types.find(format);
    if (type == types.end()) return false;
    if (context) ggml_free(context);
    const size_t bytes = ggml_row_size(type->second, cols) * size_t(rows);
    context = ggml_init({bytes + size_t(rows) * 128 + (size_t(64) << 20), nullptr, false});
    weights = ggml_new_tensor_2d(context, type->second, cols, rows);
    std::memset(weights->data, 0x11, bytes);
    return true;
  }
  Product product(int64_t states) {
    ggml_tensor* x = ggml_new_tensor_2d(context, GGML_TYPE_F32, weights->ne[0], states);
    for (int64_t i = 0; i < ggml_nelements(x); i++) static_cast<float*>(x->data)[i] = float(i % 17) / 17;
    ggml_cgraph* graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, ggml_mul_mat(context, weights, x));
    return [this, graph] {
      ggml_cplan plan = ggml_graph_plan(graph, 1, nullptr);
      work.resize(plan.work_size);
      plan.work_data = work.data();
      ggml_graph_compute(graph, &plan);
    };
  }
};
#elif defined(OPENBLAS)
struct Peer {
  std::vector<float> weights, x, y;
  int rows = 0, cols = 0;

  bool make(const std::string& format, int64_t r, int64_t c) {
    if (format != "float32") return false;
    openblas_set_num_threads(1);
    rows = int(r), cols = int(c);
    weights.assign(size_t(r * c), 0.01f);
    x.assign(size_t(8 * c), 0.5f);
    y.assign(size_t(8 * r), 0);
    return true;
  }
  Product product(int64_t states) {
    return [this, states] {
      if (states == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, rows, cols, 1, weights.data(), cols, x.data(), 1, 0, y.data(), 1);
      else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, int(states), rows, cols, 1, x.data(), cols, weights.data(),
                    cols, 0, y.data(), rows);
    };
  }
};
#else
struct Peer {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<uint8_t> weights;
  std::vector<float> x, y;
  dnnl::memory::data_type type{};
  int64_t rows = 0, cols = 0;

  bool make(const std::string& format, int64_t r, int64_t c) {
    if (format != "float32" && format != "bfloat16") return false;
    type = format == "float32" ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
    rows = r, cols = c;
    weights.assign(size_t(r * c) * (format == "float32" ? 4 : 2), 0x3c);
    x.assign(size_t(8 * c), 0.5f);
    y.assign(size_t(8 * r), 0);
    return true;
  }
  // [states, cols] times the transposed weights. oneDNN wants states in the type of the weights.
  Product product(int64_t states) {
    using Tag = dnnl::memory::format_tag;
    const dnnl::memory::desc in({states, cols}, type, Tag::ab), matrix({cols, rows}, type, Tag::ba);
    const dnnl::memory::desc out({states, rows}, dnnl::memory::data_type::f32, Tag::ab);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc about(engine, in, matrix, out);
#else
    const dnnl::matmul::primitive_desc about(dnnl::matmul::desc(in, matrix, out), engine);
#endif
    const dnnl::matmul matmul(about);
    const std::unordered_map<int, dnnl::memory> arguments = {{DNNL_ARG_SRC, {in, engine, x.data()}},
                                                             {DNNL_ARG_WEIGHTS, {matrix, engine, weights.data()}},
                                                             {DNNL_ARG_DST, {out, engine, y.data()}}};
    return [this, matmul, arguments] {
      matmul.execute(stream, arguments);
      stream.wait();
    };
  }
};
#endif

double processor_time() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) * 1e3 + double(t.tv_nsec) * 1e-6;
}

}  // namespace

int main() {
  Peer peer;
  std::map<int64_t, Product> products;
  for (std::string command; std::cin >> command;) {
    if (command == "make") {
      std::string format;
      int64_t rows, cols;
      std::cin >> format >> rows >> cols;
      products.clear();
      std::cout << (peer.make(format, rows, cols) ? "ok" : "no") << std::endl;
    } else {
      int64_t states;
      std::cin >> states;
      if (!products.count(states)) products[states] = peer.product(states);
      const double start = processor_time();
      products[states]();
      std::cout << processor_time() - start << std::endl;
    }
  }
}
