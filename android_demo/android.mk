# The Android demo, without Gradle and without Google's Maven repository: `make android`. The
# modules are those of toolchain/modules.py, the tools those of toolchain/tools.py.

ANDROID := build/android
CHAIN := android_demo/toolchain
TOOLCHAIN = $(RUN) -m android_demo.toolchain

# The sources of a module, by its folder. The folders count too: a file that has gone changes them.
kotlin_of = $(shell find android_demo/$(1) -name '*.kt' -o -type d 2>/dev/null)

# The app needs Android's API, which only an old release of Debian has. Where that is gone, CI checks
# the rest (ANDROID_WITHOUT_APP=1) and says so.
CHECKED := lint core engine $(if $(ANDROID_WITHOUT_APP),,app)

.PHONY: android android-benchmark android-fuzz android-lint android-core android-engine android-app

android: $(CHECKED:%=android-%)
	@$(TOOLCHAIN).report $(CHECKED)

# --- tools: a stamp for each place that they come from ---
ANDROID_TOOLS := $(ANDROID)/tools/.npm $(ANDROID)/tools/.wheels $(ANDROID)/tools/.debian

$(ANDROID_TOOLS) $(ANDROID)/tools/.platform: $(ANDROID)/tools/.%: $(CHAIN)/tools.py \
		$(CHAIN)/wheels.txt | $(RUN)
	@echo "Fetching the Android demo's tools: $*."
	@mkdir -p $(@D)
	$(TOOLCHAIN).fetch $*
	@touch $@

# --- for the JVM ---
android-lint: $(ANDROID)/.lint
android-core: $(ANDROID)/.core-tested
android-engine: $(ANDROID)/.engine-tested

$(ANDROID)/.lint: $(shell find android_demo -name '*.kt' -o -name '*.kts') \
		android_demo/.editorconfig $(ANDROID)/tools/.npm $(ANDROID)/tools/.debian
	$(TOOLCHAIN).kotlin lint
	@touch $@

# Against Android's API, unless that is not to be had.
$(ANDROID)/core.jar: $(call kotlin_of,core/src/main) \
		$(if $(ANDROID_WITHOUT_APP),,$(ANDROID)/tools/.platform)
$(ANDROID)/core-test.jar: $(call kotlin_of,core/src/test) $(ANDROID)/core.jar
$(ANDROID)/core-benchmark.jar: $(call kotlin_of,core/src/benchmark) $(ANDROID)/core.jar
$(ANDROID)/engine-jvm.jar: $(call kotlin_of,engine-jvm/src/main) $(ANDROID)/core.jar
$(ANDROID)/engine-jvm-test.jar: $(call kotlin_of,engine-jvm/src/test) $(ANDROID)/engine-jvm.jar \
		$(ANDROID)/core-test.jar

$(ANDROID)/%.jar: $(CHAIN)/modules.py $(CHAIN)/kotlin.py $(ANDROID_TOOLS)
	$(TOOLCHAIN).kotlin compile $*

$(ANDROID)/.core-tested: $(ANDROID)/core-test.jar $(ANDROID)/frames/frames.json
	$(TOOLCHAIN).kotlin test core-test
	@touch $@

# More or others: make android-fuzz FUZZ='--inputs 1000000 --seconds 3600 --seed 7'
android-fuzz: $(ANDROID)/core-test.jar
	$(TOOLCHAIN).kotlin fuzz $(FUZZ)

$(ANDROID)/.engine-tested: $(ANDROID)/engine-jvm-test.jar $(ANDROID)/frames/frames.json
	$(TOOLCHAIN).kotlin test engine-jvm-test
	@touch $@

# --- the models, exported here: kept in the repository they would be older than the exporter ---
FASHION_MNIST := $(ANDROID)/models/fashion_mnist
DEMO_MODELS := $(FASHION_MNIST).tflite $(FASHION_MNIST)_256.tflite $(FASHION_MNIST)_float32.tflite
CALIBRATION := demo_images/fashion_mnist
TENSORFLOW := KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3

# What the app starts with.
$(FASHION_MNIST).tflite: EXPORT := --quantize int8 --calibration $(CALIBRATION)
# For tests alone, so that few images do: more pixels, another crop; the other dtype.
$(FASHION_MNIST)_256.tflite: EXPORT := --quantize int8 --calibration $(CALIBRATION)/8_Bag \
	--image-size 256 --crop-pct 0.9
$(FASHION_MNIST)_float32.tflite: EXPORT :=

$(DEMO_MODELS): $(shell find conversion keras_fastvit -name '*.py') $(wildcard keras_fastvit/data/*) \
		| $(VENV)/.android
	@mkdir -p $(@D)
	$(TENSORFLOW) $(VENV)/bin/keras-fastvit export --model fastvit_t8 --weights fashion_mnist \
		$(EXPORT) --output $@

# What Python makes of camera frames.
$(ANDROID)/frames/frames.json: $(DEMO_MODELS) $(wildcard android_demo/core/reference/*.py)
	$(TENSORFLOW) $(RUN) -m android_demo.core.reference.frames $(@D) $(DEMO_MODELS)

android-benchmark: $(ANDROID)/core-benchmark.jar $(ANDROID)/frames/frames.json
	$(TENSORFLOW) $(RUN) -m android_demo.core.reference.benchmark benchmarks/android.md

# --- the app ---
android-app: $(ANDROID)/app.apk

$(ANDROID)/stubs.jar: $(call kotlin_of,toolchain/stubs) $(ANDROID)/tools/.platform
$(ANDROID)/app.jar: $(call kotlin_of,app/src) $(ANDROID)/resources.apk \
		$(ANDROID)/core.jar $(ANDROID)/stubs.jar

$(ANDROID)/resources.apk: $(FASHION_MNIST).tflite $(CHAIN)/resources.py \
		$(shell find android_demo/app/src/main/res android_demo/app/src/main/AndroidManifest.xml) \
		$(ANDROID)/tools/.debian $(ANDROID)/tools/.platform
	$(TOOLCHAIN).resources

# The file is there only if it has been verified.
$(ANDROID)/app.apk: $(ANDROID)/app.jar $(addprefix $(CHAIN)/,apk.py api_levels.py api_types.py) \
		android_demo/app/rules.pro
	$(TOOLCHAIN).apk
