# The addon through node-gyp (the way of prebuildify and of `npm run compile`); CMakeLists.txt is the way of cmake-js.
# Sources and flags of each instruction set come from native/sources.json; each is a static library of its own, so
# that its flags reach nothing else.
{
  "variables": {
    "sources_json": "native/sources.json",
    "gcc_flags": ["<!@(node -p \"require('./native/sources.json').flags.gcc.join(' ')\")"],
    # What GCC alone knows: on x86 it does not order instructions before it gives them registers unless told to,
    # and on ARM it does, for more registers than there are. Aligned, a loop does not become slower because another function grew.
    "gnu_flags": ["<!@(node -p \"(process.env.CXX || '').includes('clang') ? '' : (require('./native/sources.json').flags.gnu['<(target_arch)'] || []).join(' ')\")"],
    "msvc_flags": ["<!@(node -p \"require('./native/sources.json').flags.msvc.join(' ')\")"],
    "sanitize%": "",
    # The reference, which runs only where it is asked for by name: scripts/prebuild.mjs leaves it out.
    "scalar%": "<!(node -p \"process.env.FLASH_SOFTMAX_SCALAR || 'on'\")"
  },
  "target_defaults": {
    "cflags!": ["-fno-omit-frame-pointer"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-rtti"],
    "cflags_cc": ["<@(gcc_flags)", "<@(gnu_flags)"],
    "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
    "msvs_settings": {"VCCLCompilerTool": {"ExceptionHandling": 1, "AdditionalOptions": ["<@(msvc_flags)"], "WholeProgramOptimization": "false"}},
    "xcode_settings": {
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CPLUSPLUSFLAGS": ["<@(gcc_flags)"]
    }
  },
  "targets": [
    {
      "target_name": "flash_softmax",
      "sources": ["<!@(node -p \"require('./native/sources.json').common.join(' ')\")"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "cflags_cc!": ["-fno-exceptions"],
      "ldflags": ["<!@(node -p \"require('./native/sources.json').link.gcc.join(' ')\")"],
      "conditions": [
        ["scalar=='on'", {"dependencies": ["scalar"]}, {"defines": ["WITHOUT_SCALAR"]}],
        ["target_arch=='x64'", {"dependencies": ["avx2", "avx512"]}],
        ["target_arch=='arm64'", {"dependencies": ["neon"]}]
      ]
    }
  ],
  "conditions": [
    ["scalar=='on'", {"targets": [
      {
        "target_name": "scalar",
        "type": "static_library",
        "sources": ["native/isa/scalar.cc"],
        "win_delay_load_hook": "false",
        "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["<!@(node -p \"require('./native/sources.json').x64.scalar.msvc.join(' ')\")"]}},
        "cflags_cc": ["<!@(node -p \"require('./native/sources.json').x64.scalar.gcc.join(' ')\")"],
        "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<!@(node -p \"require('./native/sources.json').x64.scalar.gcc.join(' ')\")"]}
      }
    ]}],
    ["target_arch=='x64'", {"targets": [
      {
        "target_name": "avx2",
        "type": "static_library",
        "sources": ["native/isa/avx2.cc"],
        "win_delay_load_hook": "false",
        "cflags_cc": ["<!@(node -p \"require('./native/sources.json').x64.avx2.gcc.join(' ')\")"],
        "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["<!@(node -p \"require('./native/sources.json').x64.avx2.msvc.join(' ')\")"]}},
        "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<!@(node -p \"require('./native/sources.json').x64.avx2.gcc.join(' ')\")"]}
      },
      {
        "target_name": "avx512",
        "type": "static_library",
        "sources": ["native/isa/avx512.cc"],
        "win_delay_load_hook": "false",
        "cflags_cc": ["<!@(node -p \"require('./native/sources.json').x64.avx512.gcc.join(' ')\")"],
        "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["<!@(node -p \"require('./native/sources.json').x64.avx512.msvc.join(' ')\")"]}},
        "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<!@(node -p \"require('./native/sources.json').x64.avx512.gcc.join(' ')\")"]}
      }
    ]}],
    ["target_arch=='arm64'", {"targets": [
      {
        "target_name": "neon",
        "type": "static_library",
        "sources": ["native/isa/neon.cc"],
        "win_delay_load_hook": "false",
        "cflags_cc": ["<!@(node -p \"require('./native/sources.json').arm64.neon.gcc.join(' ')\")"],
        "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<!@(node -p \"require('./native/sources.json').arm64.neon.gcc.join(' ')\")"]},
        "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["<!@(node -p \"require('./native/sources.json').arm64.neon.msvc.join(' ')\")"]}}
      }
    ]}]
  ]
}
