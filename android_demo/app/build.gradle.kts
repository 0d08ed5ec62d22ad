import java.security.MessageDigest

plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.kerasfastvit.demo"
    compileSdk =
        libs.versions.compileSdk
            .get()
            .toInt()

    defaultConfig {
        applicationId = "org.kerasfastvit.demo"
        minSdk =
            libs.versions.minSdk
                .get()
                .toInt()
        targetSdk =
            libs.versions.targetSdk
                .get()
                .toInt()
        versionCode = 1
        versionName = "0.1.0"
    }

    androidResources {
        // Mapped into memory, not unpacked.
        noCompress += "tflite"
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "rules.pro")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

dependencies {
    implementation(project(":core"))
    // GPUs are not tried without the second.
    implementation(libs.litert.runtime)
    implementation(libs.litert.gpu)
}

/**
 * Brings the model that the app starts with, and its sidecar.
 *
 * `-Pmodel=M.tflite -Psha256=…` copies a file of yours, with `M.json` beside it, if it is that file;
 * else Fashion-MNIST's is exported, with the Python of `-Ppython=…` or of the project's `.venv`.
 */
abstract class BringModel
    @Inject
    constructor(
        private val execution: ExecOperations,
    ) : DefaultTask() {
        @get:InputFile
        @get:Optional
        @get:PathSensitive(PathSensitivity.NONE)
        abstract val model: RegularFileProperty

        @get:InputFile
        @get:Optional
        @get:PathSensitive(PathSensitivity.NONE)
        abstract val sidecar: RegularFileProperty

        @get:Input
        @get:Optional
        abstract val sha256: Property<String>

        @get:Input
        abstract val python: Property<String>

        /** What the export is made by and of: a change of it brings another model. */
        @get:InputFiles
        @get:PathSensitive(PathSensitivity.RELATIVE)
        abstract val exporter: ConfigurableFileCollection

        @get:Internal
        abstract val repository: DirectoryProperty

        @get:OutputDirectory
        abstract val output: DirectoryProperty

        @TaskAction
        fun bring() {
            val target = output.get().asFile
            target.deleteRecursively()
            target.mkdirs()
            if (model.isPresent) copy(target) else export(target)
        }

        private fun copy(target: File) {
            val file = model.get().asFile
            val digest = MessageDigest.getInstance("SHA-256").digest(file.readBytes())
            val received = digest.joinToString("") { "%02x".format(it) }
            val expected = sha256.orNull?.lowercase() ?: "that -Psha256=… gives"
            if (expected != received) {
                throw GradleException("Expected $file with SHA-256 $expected. Received: $received")
            }
            file.copyTo(target.resolve("default.tflite"))
            sidecar.get().asFile.copyTo(target.resolve("default.json"))
        }

        private fun export(target: File) {
            val made = temporaryDir.resolve("default.tflite")
            execution.exec {
                workingDir = repository.get().asFile
                environment("KERAS_BACKEND", "tensorflow")
                commandLine(
                    python.get(),
                    *arrayOf("-m", "keras_fastvit.conversion", "export", "--model", "fastvit_t8"),
                    *arrayOf("--weights", "fashion_mnist", "--quantize", "int8"),
                    *arrayOf("--calibration", "demo_images/fashion_mnist"),
                    *arrayOf("--output", made.path),
                )
            }
            // The reports beside it stay out of the app.
            made.copyTo(target.resolve(made.name))
            made.resolveSibling("default.json").copyTo(target.resolve("default.json"))
        }
    }

val bringModel =
    tasks.register<BringModel>("bringModel") {
        val root = rootDir.parentFile
        providers.gradleProperty("model").orNull?.let { path ->
            model = file(path)
            sidecar = file(path.removeSuffix(".tflite") + ".json")
        }
        sha256 = providers.gradleProperty("sha256")
        python = providers.gradleProperty("python").orElse("$root/.venv/bin/python")
        exporter.from(
            fileTree(root) {
                include("conversion/**/*.py", "keras_fastvit/**/*.py", "keras_fastvit/data/*")
                include("demo_images/fashion_mnist/**")
            },
        )
        repository = root
    }

androidComponents {
    onVariants { variant ->
        variant.sources.assets?.addGeneratedSourceDirectory(bringModel, BringModel::output)
    }
}
